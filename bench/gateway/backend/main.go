//go:build linux

// Command backend answers HTTP/1.1 on loopback and costs little: `/N` is
// answered with N bytes, at most 8 MiB. One thread; it takes requests without
// a body only, as the benchmark sends them.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/backlot-video/backlot/bench/gateway/internal/poll"
)

// most is the largest body.
const most = 8 << 20

func main() {
	address := flag.String("listen", "127.0.0.1:0", "`address`")
	flag.Parse()
	fmt.Fprintln(os.Stderr, "backend:", serve(*address)) // it returns when it has failed
	os.Exit(1)
}

// connection is one of a proxy's.
type connection struct {
	fd      int
	in      []byte // of a request that is not whole
	last    []byte // request that was answered in one packet, and its answer
	answer  []byte
	head    []byte // to be written, and then
	body    []byte
	waiting bool // for room to write
}

type server struct {
	poller      *poll.Poller
	listener    int
	connections []*connection // by socket
	body        []byte
	heads       map[int][]byte
	buffer      []byte
}

// serve answers until something fails.
func serve(address string) error {
	poller, err := poll.New()
	if err != nil {
		return err
	}
	listener, err := poll.Listen(address)
	if err != nil {
		return err
	}
	s := &server{
		poller: poller, listener: listener,
		body: poll.Body(most), heads: map[int][]byte{}, buffer: make([]byte, 64<<10),
	}
	if err := poller.Add(listener, false); err != nil {
		return err
	}
	for {
		events, err := poller.Wait(-1)
		if err != nil {
			return err
		}
		for _, event := range events {
			if err := s.handle(int(event.Fd), event.Events); err != nil {
				return err
			}
		}
	}
}

func (s *server) handle(fd int, events uint32) error {
	if fd == s.listener {
		accepted, err := poll.Accept(fd)
		if err != nil || accepted < 0 {
			return err
		}
		for len(s.connections) <= accepted {
			s.connections = append(s.connections, nil)
		}
		s.connections[accepted] = &connection{fd: accepted}
		return s.poller.Add(accepted, false)
	}
	c := s.connections[fd]
	fault := error(nil)
	if events&unix.EPOLLOUT != 0 {
		fault = s.write(c)
	}
	if fault == nil && events&^unix.EPOLLOUT != 0 {
		fault = s.read(c)
	}
	if fault != nil {
		s.connections[fd] = nil
		return unix.Close(fd)
	}
	return nil
}

var (
	errGone    = errors.New("gone")
	errRequest = errors.New("not a request that is understood")
)

func (s *server) read(c *connection) error {
	n, err := poll.Read(c.fd, s.buffer)
	if errors.Is(err, unix.EAGAIN) {
		return nil
	}
	if err != nil || n <= 0 {
		return errGone
	}
	request := s.buffer[:n]
	if len(c.in) == 0 && bytes.Equal(request, c.last) {
		c.head = c.answer
		return s.write(c)
	}
	if len(c.in) > 0 {
		c.in = append(c.in, request...)
		request = c.in
	}
	if !bytes.HasSuffix(request, []byte("\r\n\r\n")) {
		c.in = append(c.in[:0], request...)
		return nil
	}
	_, after, _ := bytes.Cut(request, []byte(" /"))
	path, _, _ := bytes.Cut(after, []byte(" "))
	size, err := strconv.Atoi(string(path))
	if err != nil || size < 0 || size > most {
		return errRequest
	}
	c.in = c.in[:0]
	c.head, c.body = s.head(size), s.body[:size]
	if size <= 4096 { // in one packet
		c.head, c.body = s.whole(size), nil
		c.last, c.answer = append(c.last[:0], request...), c.head
	}
	return s.write(c)
}

// head is the answer's head.
func (s *server) head(size int) []byte {
	return fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\n", size)
}

// whole is an answer, made once.
func (s *server) whole(size int) []byte {
	if s.heads[size] == nil {
		s.heads[size] = append(s.head(size), s.body[:size]...)
	}
	return s.heads[size]
}

func (s *server) write(c *connection) error {
	for len(c.head)+len(c.body) > 0 {
		from := &c.head
		if len(c.head) == 0 {
			from = &c.body
		}
		n, err := poll.Write(c.fd, *from)
		if errors.Is(err, unix.EAGAIN) {
			if c.waiting {
				return nil
			}
			c.waiting = true
			return s.poller.Change(c.fd, true)
		}
		if err != nil {
			return errGone
		}
		*from = (*from)[n:]
	}
	if c.waiting {
		c.waiting = false
		return s.poller.Change(c.fd, false)
	}
	return nil
}
