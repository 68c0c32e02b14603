package mq

import (
	"context"
	"net"
	"time"
)

// startDelay listens on loopback and passes connections on to target, each
// direction late by delay, however much is on its way.
func startDelay(target string, delay time.Duration) (net.Listener, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	go func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			far, err := new(net.Dialer).DialContext(context.Background(), "tcp", target)
			if err != nil {
				_ = near.Close()
				continue
			}
			go pass(near, far, delay)
			go pass(far, near, delay)
		}
	}()
	return listener, nil
}

// chunk is some bytes and when they are due.
type chunk struct {
	data []byte
	due  time.Time
}

func pass(from, to net.Conn, delay time.Duration) {
	chunks := make(chan chunk, 1024)
	go func() {
		defer to.Close()
		for c := range chunks {
			wait := time.NewTimer(time.Until(c.due))
			<-wait.C
			if _, err := to.Write(c.data); err != nil {
				break
			}
		}
		for range chunks { // whoever reads must not block
		}
	}()
	defer close(chunks)
	for {
		buffer := make([]byte, 64<<10)
		n, err := from.Read(buffer)
		if n > 0 {
			chunks <- chunk{buffer[:n], time.Now().Add(delay)}
		}
		if err != nil {
			return
		}
	}
}
