package counting

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/backlot-video/backlot/kit/mq"
	rulesv1 "github.com/backlot-video/backlot/proto/gen/backlot/rules/v1"
	"github.com/backlot-video/backlot/services/rules/velocity"
)

// memory is a journal in memory that can be away.
type memory struct {
	mu      sync.Mutex
	entries []mq.Entry
	ids     map[string]uint64
	grown   chan struct{}
	away    atomic.Bool
	lost    uint64 // entries up to it are no longer kept
}

func newMemory() *memory { return &memory{ids: map[string]uint64{}, grown: make(chan struct{})} }

var errAway = errors.New("away")

func (m *memory) Append(_ context.Context, id string, data []byte) (uint64, error) {
	if m.away.Load() {
		return 0, errAway
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if known, ok := m.ids[id]; ok {
		return known, nil
	}
	m.entries = append(m.entries, mq.Entry{Sequence: uint64(len(m.entries) + 1), Time: time.Now(), Data: data})
	m.ids[id] = uint64(len(m.entries))
	close(m.grown)
	m.grown = make(chan struct{})
	return uint64(len(m.entries)), nil
}

func (m *memory) Bounds(context.Context) (first, last uint64, err error) {
	if m.away.Load() {
		return 0, 0, errAway
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.lost + 1, uint64(len(m.entries)), nil
}

func (m *memory) from(sequence uint64) ([]mq.Entry, chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	sequence = max(sequence, m.lost+1)
	if sequence > uint64(len(m.entries)) {
		return nil, m.grown
	}
	return m.entries[sequence-1:], m.grown
}

func (m *memory) Read(_ context.Context, from uint64, handle func(mq.Entry) error) error {
	entries, _ := m.from(from)
	for _, e := range entries {
		if err := handle(e); err != nil {
			return err
		}
	}
	return nil
}

func (m *memory) Follow(ctx context.Context, from uint64, handle func(mq.Entry) error) error {
	for {
		entries, grown := m.from(from)
		for _, e := range entries {
			if err := handle(e); err != nil {
				return err
			}
			from = e.Sequence + 1
		}
		if len(entries) > 0 {
			continue
		}
		select {
		case <-grown:
		case <-ctx.Done():
			return nil
		}
	}
}

// replica is counts that run.
type replica struct {
	*Counts
	group *velocity.Group
	kill  func() // as kill -9 does: nothing is published or written any more
	stop  func()
}

const secret = "secret"

func begin(t testing.TB, dir string, journal Journal, peers Peers) *replica {
	t.Helper()
	config := Config{
		Velocity: velocity.Config{Secret: []byte(secret), Warming: true}, Dir: dir, Peers: peers,
		OpenTimeout: 500 * time.Millisecond, SnapshotInterval: time.Hour, Timeout: 2 * time.Second,
	}
	if journal != nil {
		config.Open = func(ctx context.Context) (Journal, error) {
			_, _, err := journal.Bounds(ctx)
			return journal, err
		}
	}
	c, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	r := &replica{Counts: c, group: c.Declare("s", []velocity.Spec{
		{Of: "payment", Kind: velocity.Events, By: "card", Window: time.Hour},
		{Of: "amount", Kind: velocity.Sum, By: "card", Window: time.Hour},
		{Of: "ip", Kind: velocity.Distinct, By: "card", Window: time.Hour},
	})[0]}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- c.Serve(ctx) }()
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(r.stop)
	return r
}

// count counts an event of a card, or only reads it.
func (r *replica) count(card string, add bool, event string) (velocity.Op, bool) {
	op := velocity.Op{
		Group: r.group, At: time.Now().UnixMicro(), Part: "main", By: card, Add: add, Event: r.Hash(event),
		Samples:  []velocity.Sample{{OK: true}, {OK: true, Value: 10, Unit: "CNY"}, {OK: true, Hash: r.Hash("ip" + event)}},
		Readings: make([]velocity.Reading, 3),
	}
	r.Run(unsafe.Slice(&op, 1))
	return op, op.OK
}

func (r *replica) check(t *testing.T, what string, cards, want int) {
	t.Helper()
	for i := range cards {
		op, ok := r.count(fmt.Sprint("card", i), false, "")
		if n := op.Readings[0].Count; !ok || n != int64(want) || op.Readings[1].Value != 10*n || op.Readings[2].Distinct != n {
			t.Errorf("%s: card%d reads %v %+v, want %d", what, i, ok, op.Readings, want)
		}
	}
}

func (r *replica) fill(t *testing.T, cards int, events ...string) {
	t.Helper()
	for _, event := range events {
		for i := range cards {
			r.count(fmt.Sprint("card", i), true, event)
		}
	}
	if err := r.Confirm(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// copyOf is what a crash leaves of a folder.
func copyOf(t *testing.T, dir string) string {
	t.Helper()
	to := t.TempDir()
	if data, err := os.ReadFile(filepath.Join(dir, snapshotName)); err == nil {
		if err := os.WriteFile(filepath.Join(to, snapshotName), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return to
}

// frozen is a journal as it was at a time.
func (m *memory) frozen() *memory {
	m.mu.Lock()
	defer m.mu.Unlock()
	return &memory{entries: m.entries[:len(m.entries):len(m.entries)], ids: map[string]uint64{}, grown: make(chan struct{}), lost: m.lost}
}

func TestConfirmedCountsOutlastACrash(t *testing.T) {
	journal, dir := newMemory(), t.TempDir()
	r := begin(t, dir, journal, nil)
	r.fill(t, 50, "a", "b")
	begin(t, copyOf(t, dir), journal.frozen(), nil).check(t, "without a snapshot", 50, 2)
	if err := r.saveSnapshot(); err != nil {
		t.Fatal(err)
	}
	begin(t, copyOf(t, dir), journal.frozen(), nil).check(t, "behind the snapshot", 50, 2)
	r.fill(t, 50, "c", "c")
	again := begin(t, copyOf(t, dir), journal.frozen(), nil)
	again.check(t, "after the snapshot", 50, 3)
	again.fill(t, 50, "a", "d") // "a" was counted two processes ago
	again.check(t, "counting on", 50, 4)
	r.stop()
	begin(t, dir, journal, nil).check(t, "after a stop", 50, 3)
}

// TestSnapshotsWhileCounting writes snapshots while others count, and begins
// from each with the journal as it was then or later.
func TestSnapshotsWhileCounting(t *testing.T) {
	journal, dir := newMemory(), t.TempDir()
	r := begin(t, dir, journal, nil)
	var group sync.WaitGroup
	const workers, events = 4, 200
	for worker := range workers {
		group.Go(func() {
			for n := range events {
				r.count(fmt.Sprint("card", n%10), true, fmt.Sprint(worker, "/", n))
			}
		})
	}
	var dirs []string
	for range 5 {
		if err := r.saveSnapshot(); err != nil {
			t.Error(err)
		}
		dirs = append(dirs, copyOf(t, dir))
	}
	group.Wait()
	if err := r.Confirm(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i, d := range dirs {
		begin(t, d, journal.frozen(), nil).check(t, fmt.Sprint("snapshot ", i), 10, workers*events/10)
	}
}

func TestCountingGoesOnWithoutItsJournal(t *testing.T) {
	journal, dir := newMemory(), t.TempDir()
	r := begin(t, dir, journal, nil)
	r.fill(t, 5, "a")
	journal.away.Store(true)
	r.fill(t, 5, "b", "c") // does not wait, once it has noticed
	r.check(t, "without", 5, 3)
	journal.away.Store(false)
	waitFor(t, func() bool { return r.Confirm(t.Context()) == nil && r.recorder.settled() })
	begin(t, copyOf(t, dir), journal.frozen(), nil).check(t, "after it came back", 5, 3)

	// One that starts while it is away replays when it comes.
	journal.away.Store(true)
	late := begin(t, copyOf(t, dir), journal, nil)
	if op, _ := late.count("card0", false, ""); !op.Readings[0].Warming {
		t.Error("a window without its history is not warming")
	}
	late.fill(t, 5, "d")
	journal.away.Store(false)
	waitFor(t, func() bool { op, _ := late.count("card0", false, ""); return op.Readings[0].Count == 4 })
	late.check(t, "late", 5, 4)
}

func (r *recorder) settled() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.durable == r.next && !r.failing
}

func waitFor(t *testing.T, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for !holds() {
		if !sleep(ctx, 5*time.Millisecond) {
			t.Fatal("it never came to hold")
		}
	}
}

func TestADamagedSnapshotIsPutAside(t *testing.T) {
	journal, dir := newMemory(), t.TempDir()
	r := begin(t, dir, journal, nil)
	r.fill(t, 5, "a")
	r.stop()
	path := filepath.Join(dir, snapshotName)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	begin(t, dir, journal, nil).check(t, "from the journal", 5, 1)
	if _, err := os.Stat(path + ".bad"); err != nil {
		t.Error(err)
	}
}

func TestAGapInTheJournalIsTold(t *testing.T) {
	journal, dir := newMemory(), t.TempDir()
	r := begin(t, dir, journal, nil)
	r.fill(t, 5, "a")
	if err := r.saveSnapshot(); err != nil {
		t.Fatal(err)
	}
	r.fill(t, 5, "b")
	r.fill(t, 5, "c")
	cut := journal.frozen()
	cut.lost = uint64(len(cut.entries)) - 1
	again := begin(t, copyOf(t, dir), cut, nil)
	if op, _ := again.count("card4", false, ""); !op.Readings[0].Warming {
		t.Errorf("got %+v", op.Readings)
	}
}

func TestWithoutAJournalSnapshotsCount(t *testing.T) {
	dir := t.TempDir()
	r := begin(t, dir, nil, nil)
	r.fill(t, 5, "a")
	r.stop()
	begin(t, dir, nil, nil).check(t, "restarted", 5, 1)
}

var _ Peers = (*peers)(nil)

// peers are replicas in one process, without a network.
type peers struct {
	self string
	all  *sync.Map // name -> *Server
	list func() []string
}

func (p *peers) Members() (string, []string) { return p.self, p.list() }

func (p *peers) Client(name string) rulesv1.VelocityServiceServer {
	server, _ := p.all.Load(name)
	return direct{server}
}

type direct struct{ server any }

func (d direct) Count(ctx context.Context, req *rulesv1.CountRequest) (*rulesv1.CountResponse, error) {
	if d.server == nil {
		return nil, errAway
	}
	return d.server.(*Server).Count(ctx, req)
}
