//go:build linux

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/backlot-video/backlot/bench/gateway/internal/poll"
)

// idle opens connections, asks once on each, says so, and keeps them until its
// input ends.
func idle(s *settings) (*Result, error) {
	poller, err := poll.New()
	if err != nil {
		return nil, err
	}
	request, want, buffer := s.request(), poll.Body(s.size), make([]byte, 64<<10)
	for range s.connections {
		fd, err := poll.Dial(s.address)
		if err != nil {
			return nil, fmt.Errorf("connect: %w", err)
		}
		c := &client{answer: answer{want: want}, fd: fd}
		if err := errors.Join(poller.Add(fd, false), c.ask(request, time.Now())); err != nil {
			return nil, err
		}
		for whole := false; !whole; {
			if events, err := poller.Wait(10_000); err != nil || len(events) == 0 {
				return nil, errors.Join(err, errors.New("no answer for 10 s"))
			}
			if whole, err = c.read(buffer); err != nil {
				return nil, err
			}
		}
	}
	if _, err := fmt.Println("open"); err != nil {
		return nil, err
	}
	if _, err := io.Copy(io.Discard, bufio.NewReader(os.Stdin)); err != nil {
		return nil, err
	}
	// Whether any has been closed meanwhile.
	events, err := poller.Wait(0)
	if err == nil && len(events) > 0 {
		err = fmt.Errorf("%d connections were closed while idle", len(events))
	}
	return &Result{Requests: s.connections}, err
}
