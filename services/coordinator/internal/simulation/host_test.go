package simulation

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/backlot-video/backlot/services/coordinator/internal/runner"
)

// link is one process of a coordinator: its way to the store and to
// participants, which is cut when it dies, and its clock.
type link struct {
	world *world
	name  string // of the host and its start
	host  string
	skew  atomic.Int64 // nanoseconds that its clock is ahead
	dead  chan struct{}
	die   func()

	mu      sync.Mutex
	writes  int
	crashAt int // the write at which it dies; 0: none
	after   bool

	*runner.Runner
	stop func() // and wait
}

// newLink makes a process that does not run yet.
func (w *world) newLink(host string, start int) (*link, *dice) {
	l := &link{world: w, host: host, name: fmt.Sprintf("%s.%d", host, start), dead: make(chan struct{})}
	l.die = sync.OnceFunc(func() { close(l.dead) })
	dice := w.dice("boot " + l.name)
	if w.faulty() && dice.chance(w.profile.crash) {
		l.crashAt, l.after = 1+dice.IntN(25), dice.IntN(2) == 0
	}
	if start == 1 && w.crashAt > 0 {
		l.crashAt, l.after = w.crashAt, w.crashAfter
	}
	ids := 0
	l.Runner = runner.New(l, network{w, l}, runner.Config{
		Host: host, MaxActive: 8, Attempts: 3, TryTimeout: 2 * time.Second, CallTimeout: 400 * time.Millisecond,
		FirstBackoff: 20 * time.Millisecond, MostBackoff: 200 * time.Millisecond, Lease: 900 * time.Millisecond,
		DrainTimeout: 100 * time.Millisecond, Seed: dice.Uint64(),
		Clock: func() time.Time { return time.Now().Add(time.Duration(l.skew.Load())) },
		NewID: func() string { ids++; return fmt.Sprintf("%s.%d", l.name, ids) },
	})
	return l, dice
}

// boot starts a process and waits until it is ready, or dead.
func (w *world) boot(host string, start int) *link {
	l, dice := w.newLink(host, start)
	ctx, cancel := context.WithCancel(context.Background())
	ready, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil && !l.isDead() {
			if err := l.Run(ctx, sync.OnceFunc(func() { close(ready) })); err != nil {
				pass(ctx, dice.between(10, 50))
			}
		}
	}()
	l.stop = sync.OnceFunc(func() { l.die(); cancel(); <-done })
	select {
	case <-ready:
	case <-l.dead:
	}
	return l
}

func (l *link) isDead() bool {
	select {
	case <-l.dead:
		return true
	default:
		return false
	}
}

// write does fn to the store as the world lets it: late, not at all, or so
// that the process does not learn of it or dies over it.
func (l *link) write(ctx context.Context, name string, fn func(*memory) error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	dice := l.world.dice(l.name + " writes " + name)
	took := dice.between(0.2, 3)
	fault := l.world.faulty()
	before, after := fault && dice.chance(l.world.profile.storeFault), fault && dice.chance(l.world.profile.storeFault)
	if fault && dice.chance(l.world.profile.storeStall) {
		took = dice.between(300, 2500)
	}
	pass(context.Background(), took) // a write that was sent is not taken back

	l.mu.Lock()
	l.writes++
	crash := l.crashAt > 0 && l.writes >= l.crashAt && l.world.faulty()
	l.mu.Unlock()
	if crash && !l.after && !l.isDead() {
		l.world.note("%s dies before: %s", l.name, name)
		l.world.meet("death before a write")
		l.die()
	}
	if l.isDead() || before {
		return errStore
	}
	err := l.do(fn)
	l.world.note("%s writes %s: %v", l.name, name, err)
	if crash {
		l.world.note("%s dies after: %s", l.name, name)
		l.world.meet("death after a write")
		l.die()
	}
	if err == nil && (crash || after) {
		return errStore
	}
	return err
}

func (l *link) read(ctx context.Context, fn func(*memory) error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if l.isDead() {
		return errStore
	}
	return l.do(fn)
}

func (l *link) do(fn func(*memory) error) error {
	m := l.world.memory
	m.mu.Lock()
	defer m.mu.Unlock()
	return fn(m)
}

// host keeps a coordinator running: a new process follows on a dead one.
type host struct {
	name    string
	mu      sync.Mutex
	current *link
	starts  int
}

func (h *host) link() *link {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.current
}

// keep runs until ctx ends, and leaves no process behind.
func (h *host) keep(ctx context.Context, w *world) {
	for ctx.Err() == nil {
		h.starts++
		l := w.boot(h.name, h.starts)
		h.mu.Lock()
		h.current = l
		h.mu.Unlock()
		dice := w.dice("life of " + l.name)
		for ctx.Err() == nil && !l.isDead() {
			select {
			case <-ctx.Done():
			case <-l.dead:
			case <-time.After(dice.between(100, 1500)):
				h.disturb(w, l, dice)
			}
		}
		l.stop()
		pass(ctx, dice.between(1, 1500))
	}
}

// disturb lets a clock jump, or pulls the plug.
func (h *host) disturb(w *world, l *link, dice *dice) {
	if !w.faulty() {
		return
	}
	if dice.chance(w.profile.jump) {
		jump := dice.between(0, 4000) - 2*time.Second
		w.note("clock of %s jumps by %v", l.name, jump)
		l.skew.Add(int64(jump))
	}
	if dice.chance(w.profile.kill) {
		w.note("%s is killed", l.name)
		l.die()
	}
}

// pass lets time pass, unless ctx ends.
func pass(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
