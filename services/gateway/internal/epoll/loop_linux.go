package epoll

import (
	"encoding/binary"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/backlot-video/backlot/services/gateway/internal/upstream"
)

const (
	// mostEvents are taken at once.
	mostEvents = 256
	// sweepEvery is how often all connections are looked at.
	sweepEvery = 250 * time.Millisecond
	// tickEvery is how often the deadlines of exchanges are looked at.
	tickEvery = 10 * time.Millisecond
	// mostReady wait for each other before they send.
	mostReady = 32
	// rounds is how much one connection may do before the others' turn.
	rounds = 16
	// wakeSlot is the one of the loop's own eventfd.
	wakeSlot = -1
)

// message is a new client, or something to be done by the loop.
type message struct {
	fd     int
	remote netip.AddrPort
	do     func()
}

// loop is one event loop. But for the inbox and the counts everything belongs
// to its goroutine.
type loop struct {
	set     *Set
	table   table
	eventfd int
	events  []unix.EpollEvent
	counts  [states]int64        // clients by state
	shown   [states]atomic.Int64 // the same, of the latest sweep

	waiting

	now    time.Time // of the latest batch
	nano   int64     // the same, Unix nanoseconds
	dated  int64     // second of date
	date   []byte
	swept  int64
	ticked int64

	drainSeen int64 // when the engine was first seen draining; 0: it is not

	clients map[*client]struct{}
	active  []*client // with an exchange under way; each knows its place
	again   []*client // have more to do already
	ready   []*client // to send, see later
	sending bool      // they are at it
	spare   []*work
	pipes   []*pipe
	pools   map[*upstream.Endpoint]*pool

	mu    sync.Mutex // of the inbox
	inbox []message
	over  bool // no more messages are taken
}

func newLoop(s *Set) (*loop, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	eventfd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		_ = unix.Close(epoll)
		return nil, err
	}
	l := &loop{
		set: s, table: table{epoll: epoll}, eventfd: eventfd, events: make([]unix.EpollEvent, mostEvents),
		clients: map[*client]struct{}{}, pools: map[*upstream.Endpoint]*pool{},
	}
	event := unix.EpollEvent{Events: unix.EPOLLIN, Fd: wakeSlot}
	if err := unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, eventfd, &event); err != nil {
		l.free()
		return nil, err
	}
	if err := l.park(); err != nil {
		l.free()
		return nil, err
	}
	l.clock()
	return l, nil
}

func (l *loop) free() {
	l.unpark()
	_ = unix.Close(l.eventfd)
	_ = unix.Close(l.table.epoll)
}

// post gives the loop a message, false where it is over.
func (l *loop) post(m message) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over {
		return false
	}
	l.inbox = append(l.inbox, m)
	if len(l.inbox) == 1 {
		l.wake()
	}
	return true
}

// rouse makes the loop look whether it is closed.
func (l *loop) rouse() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.over { // else its descriptors may be others' by now
		l.wake()
	}
}

func (l *loop) wake() {
	_, _ = unix.Write(l.eventfd, binary.NativeEndian.AppendUint64(nil, 1))
}

// run is the loop.
func (l *loop) run() {
	for !l.set.closed.Load() {
		n := l.wait()
		l.clock()
		for i := range l.events[:n] {
			l.dispatch(&l.events[i])
			if len(l.ready) >= mostReady {
				l.sendReady()
			}
		}
		l.sendReady()
		again := l.again
		l.again = l.again[len(l.again):]
		for _, c := range again {
			c.queued = false
			c.run()
		}
		l.deadlines()
		l.sendReady()
	}
	l.end()
}

// sendReady sends what was put off by later.
func (l *loop) sendReady() {
	if len(l.ready) == 0 {
		return
	}
	l.sending = true
	for i, c := range l.ready {
		l.ready[i] = nil
		c.ready = false
		c.run()
	}
	l.sending = false
	l.ready = l.ready[:0]
}

// later puts a send off until the other events of its batch have been read,
// parsed and decided about, up to a bound; false: now is the time to send. The
// kernel's way to send is long enough to drive our code out of the processor's
// caches, so several take it one after the other. Who is alone waits for nobody.
func (c *client) later() bool {
	l := c.loop
	if l.sending {
		return false
	}
	if !c.ready {
		c.ready = true
		l.ready = append(l.ready, c)
	}
	return true
}

func (l *loop) clock() {
	l.now = time.Now()
	l.nano = l.now.UnixNano()
}

// dateNow is the value of Date, to the second.
func (l *loop) dateNow() []byte {
	if second := l.nano / int64(time.Second); second != l.dated {
		l.dated = second
		l.date = l.now.UTC().AppendFormat(l.date[:0], http.TimeFormat)
	}
	return l.date
}

func (l *loop) dispatch(event *unix.EpollEvent) {
	if event.Fd == wakeSlot {
		l.receive()
		return
	}
	c, k := l.table.find(event.Fd, event.Pad)
	switch {
	case c != nil:
		c.note(event.Events)
		c.run()
	case k != nil:
		k.note(event.Events)
		k.run()
	}
}

// receive does what messages ask for.
func (l *loop) receive() {
	var value [8]byte
	_, _ = read(l.eventfd, value[:])
	l.mu.Lock()
	inbox := l.inbox
	l.inbox = nil
	l.mu.Unlock()
	for _, m := range inbox {
		if m.do != nil {
			m.do()
			continue
		}
		l.welcome(m.fd, m.remote)
	}
}

// deadlines ends what has lasted too long.
func (l *loop) deadlines() {
	if l.nano-l.ticked >= int64(tickEvery) {
		l.ticked = l.nano
		for i := len(l.active) - 1; i >= 0; i-- {
			if i < len(l.active) { // a look may end exchanges
				l.active[i].look()
			}
		}
	}
	if l.nano-l.swept < int64(sweepEvery) {
		return
	}
	l.swept = l.nano
	for s := range l.counts {
		l.shown[s].Store(l.counts[s])
	}
	for c := range l.clients {
		if c.state == idle || c.state == heading || c.state == lingering {
			c.lookIdle()
		}
	}
	for _, p := range l.pools {
		p.sweep()
	}
	l.weigh()
}

// end closes everything.
func (l *loop) end() {
	l.mu.Lock()
	l.over = true
	inbox := l.inbox
	l.inbox = nil
	l.mu.Unlock()
	for _, m := range inbox {
		if m.do == nil {
			_ = unix.Close(m.fd)
			l.set.config.Engine.Left()
		}
	}
	for c := range l.clients {
		c.abort("closed")
	}
	for _, p := range l.pools {
		p.close()
	}
	for _, p := range l.pipes {
		p.close()
	}
	if l.file == nil {
		l.set.processors.add(-1)
	}
	l.free()
}
