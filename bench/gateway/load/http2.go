//go:build linux

package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/backlot-video/backlot/bench/gateway/internal/poll"
)

// http2Load keeps so many streams open on each connection: one that ends is
// followed by the next.
func http2Load(s *settings) (*Result, error) {
	want := poll.Body(s.size)
	return connections(s, "h2", func(conn *tls.Conn, all *shared) error {
		if conn.ConnectionState().NegotiatedProtocol != "h2" {
			return errors.New("the proxy does not speak HTTP/2")
		}
		m := newMultiplexed(conn, s, want)
		if err := m.begin(); err != nil {
			return err
		}
		for {
			if more, err := m.step(all); err != nil || !more {
				return err
			}
		}
	})
}

// multiplexed is a connection of HTTP/2.
type multiplexed struct {
	settings *settings
	out      *bufio.Writer
	in       *bufio.Reader
	framer   *http2.Framer
	block    bytes.Buffer
	encoder  *hpack.Encoder
	decoder  *hpack.Decoder
	status   string // of the block that is being decoded
	want     []byte
	streams  map[uint32]*stream
	next     uint32
	credit   uint32 // bytes of data that the window is owed
}

type stream struct {
	asked time.Time
	at    int
	ok    bool
}

func newMultiplexed(conn *tls.Conn, s *settings, want []byte) *multiplexed {
	m := &multiplexed{
		settings: s, out: bufio.NewWriterSize(conn, 16<<10), in: bufio.NewReaderSize(conn, 64<<10), want: want,
		streams: map[uint32]*stream{}, next: 1,
	}
	m.framer = http2.NewFramer(m.out, m.in)
	m.framer.SetReuseFrames()
	m.encoder = hpack.NewEncoder(&m.block)
	m.decoder = hpack.NewDecoder(4096, func(f hpack.HeaderField) {
		if f.Name == ":status" {
			m.status = f.Value
		}
	})
	return m
}

const windowSize = 1 << 24

func (m *multiplexed) begin() error {
	if _, err := m.out.WriteString(http2.ClientPreface); err != nil {
		return err
	}
	if err := errors.Join(
		m.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: windowSize}),
		m.framer.WriteWindowUpdate(0, windowSize),
	); err != nil {
		return err
	}
	for range m.settings.streams {
		if err := m.ask(); err != nil {
			return err
		}
	}
	return m.out.Flush()
}

func (m *multiplexed) ask() error {
	m.block.Reset()
	for _, f := range [][2]string{
		{":method", "GET"},
		{":scheme", "https"},
		{":authority", m.settings.address},
		{":path", m.settings.path},
		{"user-agent", "backlot-bench"},
		{"accept", "*/*"},
	} {
		if err := m.encoder.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]}); err != nil {
			return err
		}
	}
	m.streams[m.next] = &stream{asked: time.Now()}
	err := m.framer.WriteHeaders(http2.HeadersFrameParam{
		StreamID: m.next, BlockFragment: m.block.Bytes(), EndStream: true, EndHeaders: true,
	})
	m.next += 2
	return err
}

// step takes a frame.
func (m *multiplexed) step(all *shared) (more bool, err error) {
	if m.in.Buffered() == 0 {
		if err := m.out.Flush(); err != nil {
			return false, err
		}
	}
	frame, err := m.framer.ReadFrame()
	if err != nil {
		return false, err
	}
	switch frame := frame.(type) {
	case *http2.SettingsFrame:
		if !frame.IsAck() {
			return true, m.framer.WriteSettingsAck()
		}
	case *http2.PingFrame:
		if !frame.IsAck() {
			return true, m.framer.WritePing(true, frame.Data)
		}
	case *http2.HeadersFrame:
		if _, err := m.decoder.Write(frame.HeaderBlockFragment()); err != nil {
			return false, err
		}
		s := m.streams[frame.StreamID]
		if s == nil || m.status != "200" || !frame.HeadersEnded() {
			return false, fmt.Errorf("stream %d: answer is %q", frame.StreamID, m.status)
		}
		s.ok = true
		return m.ended(all, frame.StreamID, s, frame.StreamEnded())
	case *http2.DataFrame:
		return m.data(all, frame)
	case *http2.RSTStreamFrame, *http2.GoAwayFrame:
		return false, fmt.Errorf("the proxy sent %v", frame)
	}
	return true, nil
}

func (m *multiplexed) data(all *shared, frame *http2.DataFrame) (more bool, err error) {
	s, data := m.streams[frame.StreamID], frame.Data()
	if s == nil || !s.ok || len(data) > len(m.want)-s.at || !bytes.Equal(data, m.want[s.at:s.at+len(data)]) {
		return false, errBody
	}
	s.at += len(data)
	if m.credit += frame.Length; m.credit >= windowSize/4 {
		if err := m.framer.WriteWindowUpdate(0, m.credit); err != nil {
			return false, err
		}
		m.credit = 0
	}
	return m.ended(all, frame.StreamID, s, frame.StreamEnded())
}

// ended goes on with the next request after the end of a stream.
func (m *multiplexed) ended(all *shared, id uint32, s *stream, end bool) (more bool, err error) {
	if !end {
		return true, nil
	}
	if s.at != len(m.want) {
		return false, errBody
	}
	delete(m.streams, id)
	if !all.done(s.asked) {
		return false, nil
	}
	return true, m.ask()
}
