package epoll

import (
	"golang.org/x/sys/unix"
)

// socket is a descriptor that one loop owns. What epoll has said of it is kept
// until a call says otherwise, as events come at edges only.
type socket struct {
	fd         int // -1: closed
	slot       int32
	generation int32
	readable   bool // there may be something to read
	writable   bool // there may be room to write
	ended      bool // the other side sends no more
	broken     bool // reset, or closed both ways
}

// slot of the table: what an event that names it is for.
type slot struct {
	generation int32
	client     *client
	link       *link
}

// table finds sockets by the slot and generation that their events carry.
type table struct {
	epoll int
	slots []slot
	free  []int32
}

const interest = unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET

// add puts a socket into the table and begins to watch it.
func (t *table) add(s *socket, c *client, l *link) error {
	index := int32(len(t.slots))
	if n := len(t.free); n > 0 {
		index = t.free[n-1]
		t.free = t.free[:n-1]
	} else {
		t.slots = append(t.slots, slot{})
	}
	at := &t.slots[index]
	at.client, at.link = c, l
	s.slot, s.generation = index, at.generation
	event := unix.EpollEvent{Events: interest, Fd: index, Pad: at.generation}
	if err := unix.EpollCtl(t.epoll, unix.EPOLL_CTL_ADD, s.fd, &event); err != nil {
		t.remove(s)
		return err
	}
	return nil
}

// remove takes a socket out, so that no event reaches it any more.
func (t *table) remove(s *socket) {
	at := &t.slots[s.slot]
	*at = slot{generation: at.generation + 1}
	t.free = append(t.free, s.slot)
}

// release stops watching and gives the descriptor away.
func (t *table) release(s *socket) (fd int) {
	fd, s.fd = s.fd, -1
	t.remove(s)
	_ = unix.EpollCtl(t.epoll, unix.EPOLL_CTL_DEL, fd, nil)
	return fd
}

// close closes a socket, once.
func (t *table) close(s *socket) {
	if s.fd < 0 {
		return
	}
	t.remove(s)
	_ = unix.Close(s.fd) // which ends the watching too: nobody else has the description
	s.fd = -1
}

// find gives what an event is for; nothing if that is closed.
func (t *table) find(slotIndex, generation int32) (*client, *link) {
	at := &t.slots[slotIndex]
	if at.generation != generation {
		return nil, nil
	}
	return at.client, at.link
}

// note keeps what an event says.
func (s *socket) note(events uint32) {
	if events&(unix.EPOLLIN|unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		s.readable = true
	}
	if events&(unix.EPOLLOUT|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		s.writable = true
	}
	s.ended = s.ended || events&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0
	s.broken = s.broken || events&(unix.EPOLLHUP|unix.EPOLLERR) != 0
}

// receive reads into p. n == 0: nothing is there now, or over says that
// nothing will be.
func (s *socket) receive(p []byte) (n int, over bool) {
	n, errno := receive(s.fd, p)
	switch {
	case errno == unix.EAGAIN:
		s.readable = false
		return 0, false
	case errno != 0:
		s.broken = true
		return 0, true
	case n == 0:
		s.ended = true
		return 0, true
	}
	// A short read has emptied the socket: what comes later makes an event.
	if n < len(p) && !s.ended {
		s.readable = false
	}
	return n, false
}

// send writes a and then b, of which it returns what is left.
func (s *socket) send(a, b []byte) (restA, restB []byte, err error) {
	n, errno := writeBoth(s.fd, a, b)
	switch {
	case errno == unix.EAGAIN:
		s.writable = false
		return a, b, nil
	case errno != 0:
		s.broken = true
		return a, b, errno
	}
	if n < len(a)+len(b) {
		s.writable = false
	}
	if n < len(a) {
		return a[n:], b, nil
	}
	return nil, b[n-len(a):], nil
}
