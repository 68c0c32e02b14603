package h2_test

import (
	"encoding/binary"
	"io"
	"net"
	"testing"

	"golang.org/x/net/http2/hpack"

	"github.com/backlot-video/backlot/services/gateway/internal/h2"
)

// Kinds of frames that tests write and await.
const (
	frameData         = 0x0
	frameHeaders      = 0x1
	frameReset        = 0x3
	frameSettings     = 0x4
	framePing         = 0x6
	frameGoAway       = 0x7
	frameWindowUpdate = 0x8
	frameContinuation = 0x9
)

// peer speaks frames by hand, as a server or a client may that is not good.
type peer struct {
	t       testing.TB
	nc      net.Conn
	failed  bool // a write did
	decoder *hpack.Decoder
}

// newPeer is the server's side: it takes the preface.
func newPeer(t testing.TB, nc net.Conn) *peer {
	preface := make([]byte, len(h2.Preface))
	if _, err := io.ReadFull(nc, preface); err != nil || string(preface) != h2.Preface {
		t.Errorf("preface %q, %v", preface, err)
	}
	return &peer{t: t, nc: nc}
}

// dialPeer is the client's side, past its preface and settings.
func dialPeer(t testing.TB, address string) *peer {
	t.Helper()
	nc, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nc.Close() })
	p := &peer{t: t, nc: nc}
	_, _ = io.WriteString(nc, h2.Preface)
	p.settings()
	return p
}

func (p *peer) frame(kind, flags byte, stream uint32, payload ...byte) {
	head := []byte{byte(len(payload) >> 16), byte(len(payload) >> 8), byte(len(payload)), kind, flags}
	head = binary.BigEndian.AppendUint32(head, stream)
	if _, err := p.nc.Write(append(head, payload...)); err != nil {
		p.failed = true
	}
}

func (p *peer) settings() { p.frame(frameSettings, 0, 0) }

func (p *peer) headers(stream uint32, end bool, block ...byte) {
	flags := byte(0x4)
	if end {
		flags |= 0x1
	}
	p.frame(frameHeaders, flags, stream, block...)
}

// get is a block of GET https://a/.
var get = []byte{0x82, 0x87, 0x84, 0x41, 0x01, 'a'}

func (p *peer) goAway(last, code uint32) {
	p.frame(frameGoAway, 0, 0, binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, last), code)...)
}

func (p *peer) reset(stream, code uint32) {
	p.frame(frameReset, 0, stream, binary.BigEndian.AppendUint32(nil, code)...)
}

// next reads a frame; kind is 0xff where the connection has ended.
func (p *peer) next() (kind, flags byte, stream uint32, payload []byte) {
	head := make([]byte, 9)
	if _, err := io.ReadFull(p.nc, head); err != nil {
		return 0xff, 0, 0, nil
	}
	payload = make([]byte, int(head[0])<<16|int(head[1])<<8|int(head[2]))
	if _, err := io.ReadFull(p.nc, payload); err != nil {
		return 0xff, 0, 0, nil
	}
	return head[3], head[4], binary.BigEndian.Uint32(head[5:]), payload
}

// await reads up to a frame of a kind and returns its stream.
func (p *peer) await(kind byte) uint32 {
	for {
		got, _, stream, _ := p.next()
		if got == kind {
			return stream
		}
		if got == 0xff {
			p.t.Errorf("the connection ended before a frame of kind %d", kind)
			return 0
		}
	}
}

// awaitStatus reads up to the head of a stream's answer. Every head that the
// server sends has to pass here or to be of no interest later: ours is an
// encoder without state.
func (p *peer) awaitStatus(stream uint32) string {
	if p.decoder == nil {
		p.decoder = hpack.NewDecoder(4096, nil)
	}
	for {
		kind, _, of, payload := p.next()
		switch {
		case kind == 0xff:
			p.t.Error("the connection ended before the answer")
			return ""
		case kind == frameHeaders && of == stream:
			fields, err := p.decoder.DecodeFull(payload)
			if err != nil || len(fields) == 0 {
				p.t.Errorf("head of the answer: %v", err)
				return ""
			}
			return fields[0].Value
		}
	}
}

// awaitGoAway reads up to a GOAWAY and returns its code.
func (p *peer) awaitGoAway() (last, code uint32) {
	for {
		kind, _, _, payload := p.next()
		switch kind {
		case frameGoAway:
			return binary.BigEndian.Uint32(payload), binary.BigEndian.Uint32(payload[4:])
		case 0xff:
			p.t.Error("the connection ended without GOAWAY")
			return 0, 0
		}
	}
}

// drainInput reads until the connection ends.
func (p *peer) drainInput() { _, _ = io.Copy(io.Discard, p.nc) }
