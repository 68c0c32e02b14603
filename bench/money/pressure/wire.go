package pressure

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"sync"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/backlot-video/backlot/kit/socket"
	"github.com/backlot-video/backlot/proto/rpcdesc"
)

const (
	// longest is the time that calls are recorded with: no other has more digits.
	longest       = time.Minute
	headerTimeout = "BACKLOT_TIMEOUT_US"
	metaBytes     = 14 // of a TTHeader frame, before its headers
	exception     = 3  // the type of a message that tells of a failed call
)

var errFrame = errors.New("an answer is no frame of Kitex's")

// wire makes calls of one method by Kitex's TTHeader as the house's client does:
// a call of that is recorded, and what comes before its message sent before each
// other. It costs a caller a third of what a client does that can do more. A
// connection has one call at a time.
type wire struct {
	address string
	before  []byte // a frame, up to its message
	timeout int    // where in it the digits of what is left begin
	digits  int
	framed  int // where the length of the message's frame is

	mu   sync.Mutex
	idle []*wireConn
}

type wireConn struct {
	net.Conn
	reader *bufio.Reader
	frame  []byte
}

// record makes a wire of what conn, which calls the listener, sends for a call.
func record(listener net.Listener, conn rpcdesc.Conn, method *rpcdesc.Method, request proto.Message, address string) (*wire, error) {
	frames := make(chan []byte, 1)
	go func() {
		defer close(frames)
		c, err := listener.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		if frame, err := readFrame(c); err == nil {
			frames <- frame
		}
	}()
	ctx, cancel := context.WithTimeout(context.Background(), longest)
	defer cancel()
	_ = conn.Call(ctx, method, request, new(emptypb.Empty)) // nobody answers
	_ = listener.Close()
	message, err := proto.Marshal(request)
	frame := <-frames
	if err != nil || len(frame) < metaBytes || !bytes.HasSuffix(frame, message) {
		return nil, fmt.Errorf("record a call of %s: %d bytes, %w", method.Name, len(frame), errors.Join(err, errFrame))
	}
	w := &wire{address: address, before: frame[:len(frame)-len(message)], framed: headersEnd(frame)}
	digits := header(w.before, headerTimeout)
	if len(digits) == 0 || w.framed+4 > len(w.before) || int(binary.BigEndian.Uint32(frame[w.framed:])) != len(frame)-w.framed-4 {
		return nil, fmt.Errorf("record a call of %s: %w", method.Name, errFrame)
	}
	w.timeout, w.digits = bytes.Index(w.before, digits), len(digits)
	return w, nil
}

// call calls with a message that is encoded, until a time. Its error is a
// *connect.Error where the server refused the call or the time is over.
func (w *wire) call(until time.Time, message []byte) (answer []byte, err error) {
	frame, err := w.exchange(until, message)
	if err != nil {
		return nil, err
	}
	return answerOf(frame)
}

// exchange is call without a look at what is answered, for answerOf to read later.
func (w *wire) exchange(until time.Time, message []byte) (frame []byte, err error) {
	conn, err := w.get()
	if err != nil {
		return nil, err
	}
	frame, err = conn.exchange(w.fill(conn.frame[:0], until, message), until)
	if err != nil {
		conn.Close()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			err = connect.NewError(connect.CodeDeadlineExceeded, err)
		}
		return nil, err
	}
	w.mu.Lock()
	w.idle = append(w.idle, conn)
	w.mu.Unlock()
	return frame, nil
}

// fill appends a call's frame to buf.
func (w *wire) fill(buf []byte, until time.Time, message []byte) []byte {
	buf = append(append(buf, w.before...), message...)
	binary.BigEndian.PutUint32(buf, uint32(len(buf)-4))
	binary.BigEndian.PutUint32(buf[w.framed:], uint32(len(buf)-w.framed-4))
	left := min(max(time.Until(until), time.Microsecond), longest-time.Microsecond).Microseconds()
	copy(buf[w.timeout:], fmt.Appendf(nil, "%0*d", w.digits, left))
	return buf
}

func (w *wire) get() (*wireConn, error) {
	w.mu.Lock()
	if n := len(w.idle); n > 0 {
		conn := w.idle[n-1]
		w.idle = w.idle[:n-1]
		w.mu.Unlock()
		return conn, nil
	}
	w.mu.Unlock()
	conn, err := socket.Dial(context.Background(), new(net.Dialer), "tcp", w.address)
	if err != nil {
		return nil, err
	}
	return &wireConn{Conn: conn, reader: bufio.NewReaderSize(conn, 16<<10)}, nil
}

func (w *wire) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, conn := range w.idle {
		conn.Close()
	}
	w.idle = nil
}

func (c *wireConn) exchange(frame []byte, until time.Time) ([]byte, error) {
	c.frame = frame
	if err := c.SetDeadline(until); err != nil {
		return nil, err
	}
	if _, err := c.Write(frame); err != nil {
		return nil, err
	}
	return readFrame(c.reader)
}

func readFrame(r io.Reader) ([]byte, error) {
	var length [4]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(length[:])
	if n < metaBytes || n > 1<<24 {
		return nil, errFrame
	}
	frame := make([]byte, 4+n)
	copy(frame, length[:])
	_, err := io.ReadFull(r, frame[4:])
	return frame, err
}

// headersEnd is where a frame's message begins.
func headersEnd(frame []byte) int {
	if len(frame) < metaBytes {
		return 0 // none came
	}
	return min(metaBytes+4*int(binary.BigEndian.Uint16(frame[metaBytes-2:])), len(frame))
}

// header is a header's value, empty where there is none.
func header(headers []byte, name string) []byte {
	at := bytes.Index(headers, []byte(name))
	if at < 0 || len(headers) < at+len(name)+2 {
		return nil
	}
	rest := headers[at+len(name):]
	n := int(binary.BigEndian.Uint16(rest))
	return rest[2:min(2+n, len(rest))]
}

// refuses tells whether a frame is the refusal of a server that is busy.
func refuses(frame []byte) bool {
	code, _ := strconv.Atoi(string(header(frame[:headersEnd(frame)], "biz-status")))
	return connect.Code(code) == connect.CodeResourceExhausted
}

// answerOf returns a frame's message, or the error that it tells of.
func answerOf(frame []byte) ([]byte, error) {
	end := headersEnd(frame)
	if code, _ := strconv.Atoi(string(header(frame[:end], "biz-status"))); code != 0 {
		var extra struct{ Status []byte } // base64 of a message that has the text as it is
		if err := json.Unmarshal(header(frame[:end], "biz-extra"), &extra); err != nil {
			return nil, err
		}
		return nil, connect.NewError(connect.Code(code), errors.New(string(extra.Status)))
	}
	const lengths, method, sequence = 4, 8, 4 // of the frame, of what kind and the method's name, of the call
	rest := frame[end:]
	if len(rest) < lengths+method || rest[lengths+3] == exception {
		return nil, fmt.Errorf("%w: %q", errFrame, rest)
	}
	skip := lengths + method + int(binary.BigEndian.Uint32(rest[lengths+4:])) + sequence
	if skip > len(rest) {
		return nil, errFrame
	}
	return rest[skip:], nil
}
