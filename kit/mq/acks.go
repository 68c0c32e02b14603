package mq

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
)

// acks sends acknowledgements without a lane's waiting for any. Each message
// gets its own, since the broker takes "all up to here" wrongly after a crash;
// those that gather while others are written go out together. The broker
// confirms the last of some, which confirms all before it: it works them off in
// order. At most window of them are unconfirmed, then lanes wait; what is not
// confirmed in time is sent again, which does no harm.
type acks struct {
	conn        *nats.Conn
	window      int
	unconfirmed prometheus.Gauge
	repeated    prometheus.Counter
	inbox       string
	sub         *nats.Subscription
	wake        chan struct{} // of length 1: there is something to send
	changed     chan struct{} // of length 1: the broker has confirmed something

	mu     sync.Mutex
	room   sync.Cond // over mu: fewer are unconfirmed, or it is closed
	queued []string  // reply subjects not sent yet
	sent   []string  // and sent but not confirmed, oldest first
	first  uint64    // how many were confirmed: the number of sent[0]
	asked  uint64    // confirmation up to this number is awaited
	closed bool
}

const (
	ackBody   = "+ACK"
	ackRepeat = 5 * time.Second // much less than ackWait
)

func newAcks(conn *nats.Conn, window int, unconfirmed prometheus.Gauge, repeated prometheus.Counter) (*acks, error) {
	a := &acks{
		conn: conn, window: window, unconfirmed: unconfirmed, repeated: repeated, inbox: conn.NewInbox() + ".",
		wake: make(chan struct{}, 1), changed: make(chan struct{}, 1),
	}
	a.room.L = &a.mu
	var err error
	a.sub, err = conn.Subscribe(a.inbox+"*", a.confirm)
	return a, err
}

// add queues a message's acknowledgement; it waits while the window is full.
func (a *acks) add(subject string) {
	a.mu.Lock()
	for len(a.queued)+len(a.sent) >= a.window && !a.closed {
		a.room.Wait()
	}
	a.queued = append(a.queued, subject)
	a.mu.Unlock()
	notify(a.wake)
}

// run sends until ended is closed.
func (a *acks) run(ended <-chan struct{}) {
	tick := time.NewTicker(ackRepeat)
	defer tick.Stop()
	before := uint64(0)
	for {
		select {
		case <-a.wake:
			a.send(false)
		case <-tick.C:
			a.mu.Lock()
			stuck := a.first == before && len(a.sent) > 0
			before = a.first
			a.mu.Unlock()
			if stuck {
				a.send(true)
			}
		case <-ended:
			return
		}
	}
}

// send writes what is queued; again: what was sent before it too. An error is
// that of a connection that is closed for good: the messages come again.
func (a *acks) send(again bool) {
	a.mu.Lock()
	batch := a.queued
	if again {
		a.repeated.Add(float64(len(a.sent)))
		batch = append(append([]string(nil), a.sent...), batch...)
	}
	a.sent, a.queued = append(a.sent, a.queued...), nil
	last := a.first + uint64(len(a.sent))
	ask := last > a.first && (again || a.asked <= a.first || last-a.asked >= uint64(a.window/4))
	if ask && len(batch) == 0 {
		batch = a.sent[len(a.sent)-1:]
	}
	if ask {
		a.asked = last
	}
	a.unconfirmed.Set(float64(len(a.sent)))
	batch = batch[:len(batch):len(batch)]
	a.mu.Unlock()
	for i, subject := range batch {
		if ask && i == len(batch)-1 {
			_ = a.conn.PublishRequest(subject, a.inbox+strconv.FormatUint(last, 10), []byte(ackBody))
			return
		}
		_ = a.conn.Publish(subject, []byte(ackBody))
	}
}

// confirm hears that the broker has taken all up to a number.
func (a *acks) confirm(message *nats.Msg) {
	number, err := strconv.ParseUint(strings.TrimPrefix(message.Subject, a.inbox), 10, 64)
	if err != nil || message.Header.Get("Status") != "" {
		return // nobody is there to take it: sent again later
	}
	a.mu.Lock()
	if count := number - min(number, a.first); count > 0 && count <= uint64(len(a.sent)) {
		a.sent = a.sent[count:]
		a.first = number
	}
	more := len(a.sent) > 0 && a.asked <= a.first
	a.unconfirmed.Set(float64(len(a.sent)))
	a.mu.Unlock()
	a.room.Broadcast()
	notify(a.changed)
	if more {
		notify(a.wake)
	}
}

// drain waits until all is confirmed, or ctx ends.
func (a *acks) drain(ctx context.Context) {
	for {
		a.mu.Lock()
		left := len(a.queued) + len(a.sent)
		a.mu.Unlock()
		if left == 0 {
			return
		}
		select {
		case <-a.changed:
		case <-ctx.Done():
			return
		}
	}
}

// close lets go of lanes that wait.
func (a *acks) close() {
	a.mu.Lock()
	a.closed = true
	a.mu.Unlock()
	a.room.Broadcast()
	_ = a.sub.Unsubscribe()
	a.unconfirmed.Set(0)
}
