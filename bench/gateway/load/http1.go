//go:build linux

package main

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/backlot-video/backlot/bench/gateway/internal/poll"
)

// client is a connection of HTTP/1.1.
type client struct {
	answer
	fd    int
	asked time.Time
}

// http1 asks in a closed loop: a connection's next request goes out when its
// last answer is whole.
func http1(s *settings) (*Result, error) {
	poller, err := poll.New()
	if err != nil {
		return nil, err
	}
	request, want := s.request(), poll.Body(s.size)
	var clients []*client // by socket
	for range s.connections {
		fd, err := poll.Dial(s.address)
		if err != nil {
			return nil, fmt.Errorf("connect: %w", err)
		}
		for len(clients) <= fd {
			clients = append(clients, nil)
		}
		clients[fd] = &client{answer: answer{want: want}, fd: fd}
		if err := errors.Join(poller.Add(fd, false), clients[fd].ask(request, time.Now())); err != nil {
			return nil, err
		}
	}
	return drive(poller, clients, request, newWindow(s))
}

func drive(poller *poll.Poller, clients []*client, request []byte, w *window) (*Result, error) {
	buffer := make([]byte, 256<<10)
	for {
		events, err := poller.Wait(10_000)
		if err != nil || len(events) == 0 {
			return nil, errors.Join(err, errors.New("no answer for 10 s"))
		}
		for _, event := range events {
			c := clients[int(event.Fd)]
			whole, err := c.read(buffer)
			if err != nil {
				return nil, err
			}
			if !whole {
				continue
			}
			now := time.Now()
			if closed, err := w.done(c.asked, now); err != nil {
				return nil, err
			} else if closed {
				return w.result()
			}
			if err := c.ask(request, now); err != nil {
				return nil, err
			}
		}
	}
}

// ask sends a request, which fits any socket's buffer.
func (c *client) ask(request []byte, now time.Time) error {
	c.asked = now
	if n, err := poll.Write(c.fd, request); err != nil || n != len(request) {
		return fmt.Errorf("write %d of %d bytes: %w", n, len(request), err)
	}
	return nil
}

func (c *client) read(buffer []byte) (whole bool, err error) {
	n, err := poll.Read(c.fd, buffer)
	if errors.Is(err, unix.EAGAIN) {
		return false, nil
	}
	if err != nil || n <= 0 {
		return false, fmt.Errorf("connection was closed in the middle (%d bytes of the body, %v)", c.at, err)
	}
	return c.take(buffer[:n])
}
