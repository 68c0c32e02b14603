package wan

import (
	"bytes"
	"net"
	"sync"
	"time"
)

const (
	// longestHead is where the search for who dials ends.
	longestHead = 16 << 10
	// onTheWay bounds the pieces that travel in one direction.
	onTheWay = 4096
	piece    = 32 << 10
)

// pipe is one connection.
type pipe struct {
	from        string // id of who dialled
	to          string // name
	front, back net.Conn
	lost        bool // bytes were dropped; network.mu guards it
	once        sync.Once
}

func (p *pipe) close() {
	p.once.Do(func() {
		_ = p.front.Close()
		_ = p.back.Close()
	})
}

// carry serves one connection to a member.
func (n *Network) carry(front net.Conn, member, behind string) {
	head, from := readHead(front)
	back, err := net.Dial("tcp", behind) //nolint:noctx // loopback
	if err != nil {
		_ = front.Close()
		return
	}
	p := &pipe{from: from, to: member, front: front, back: back}
	n.mu.Lock()
	if n.closed {
		n.mu.Unlock()
		p.close()
		return
	}
	n.pipes[p] = true
	n.mu.Unlock()
	var both sync.WaitGroup
	both.Go(func() { n.move(p, front, back, head, false) })
	both.Go(func() { n.move(p, back, front, nil, true) })
	both.Wait()
	n.mu.Lock()
	delete(n.pipes, p)
	n.mu.Unlock()
}

// readHead reads the first request's head and the id of who sent it.
func readHead(conn net.Conn) (head []byte, from string) {
	buffer := make([]byte, 4<<10)
	for len(head) < longestHead && !bytes.Contains(head, []byte("\r\n\r\n")) {
		size, err := conn.Read(buffer)
		head = append(head, buffer[:size]...)
		if err != nil {
			break
		}
	}
	_, rest, found := bytes.Cut(head, []byte("X-Server-From: "))
	if !found {
		return head, ""
	}
	id, _, _ := bytes.Cut(rest, []byte("\r\n"))
	return head, string(id)
}

// parcel is bytes and when they arrive.
type parcel struct {
	data []byte
	at   time.Time
}

// move carries one direction of a connection.
func (n *Network) move(p *pipe, source, target net.Conn, first []byte, back bool) {
	defer p.close()
	travelling := make(chan parcel, onTheWay)
	var arrival sync.WaitGroup
	arrival.Go(func() {
		defer p.close()
		for one := range travelling {
			<-time.After(time.Until(one.at))
			if _, err := target.Write(one.data); err != nil {
				break
			}
		}
		for range travelling { // what nobody takes any more
		}
	})
	send := func(data []byte) {
		if at, arrives := n.due(p, back); arrives {
			travelling <- parcel{data, at}
		}
	}
	if len(first) > 0 {
		send(first)
	}
	for {
		buffer := make([]byte, piece)
		size, err := source.Read(buffer)
		if size > 0 {
			send(buffer[:size])
		}
		if err != nil {
			break
		}
	}
	close(travelling)
	arrival.Wait()
}
