package store

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backlot-video/backlot/services/coordinator/internal/runner"
)

var errEngine = errors.New("engine is away")

// fakeEngine stands for a database: a commit takes a second.
type fakeEngine struct {
	mu      sync.Mutex
	batches [][]string
	atOnce  int
	most    int
	fail    func(batch []*write) error
}

func (f *fakeEngine) commit(ctx context.Context, owner string, batch []*write) ([]error, error) {
	f.mu.Lock()
	f.atOnce++
	f.most = max(f.most, f.atOnce)
	var names []string
	for _, w := range batch {
		names = append(names, w.key.XID)
		if w.owner != owner {
			names = append(names, "not of "+owner)
		}
	}
	f.batches = append(f.batches, names)
	f.mu.Unlock()
	select {
	case <-time.After(time.Second):
	case <-ctx.Done():
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.atOnce--
	if f.fail != nil {
		if err := f.fail(batch); err != nil {
			return nil, err
		}
	}
	results := make([]error, len(batch))
	for i, w := range batch {
		if w.key.XID == "taken" {
			results[i] = runner.ErrExists
		}
	}
	return results, ctx.Err()
}

func (f *fakeEngine) remove(context.Context, int64, int32) (int64, error) { return 0, errEngine }

func (f *fakeEngine) undone(err error) bool { return !errors.Is(err, errEngine) }

func newCommitter(f *fakeEngine, config Config) *committer {
	return &committer{engine: f, config: config.withDefaults(), metrics: newMetrics(nil)}
}

func named(xid string) *write {
	return &write{key: runner.Key{TenantID: "main", XID: xid}, owner: "one", entry: entry{Records: make([]byte, 100)}}
}

// submit has each written, one after the other in arrival, and returns what
// came of them.
func submit(c *committer, writes ...*write) []error {
	results := make([]error, len(writes))
	var all sync.WaitGroup
	for i, w := range writes {
		all.Go(func() { results[i] = c.do(context.Background(), w) })
		synctest.Wait()
	}
	all.Wait()
	return results
}

func TestWritesOfManyShareACommit(t *testing.T) {
	other := named("e")
	other.owner = "two"
	for name, c := range map[string]struct {
		config Config
		writes []*write
		want   string
	}{
		"what arrives during a commit is the next batch": {Config{}, []*write{named("a"), named("b"), named("taken"), named("c")}, "[[a] [b taken c]]"},
		"a transaction is once in a batch":               {Config{}, []*write{named("a"), named("b"), named("c"), named("b"), named("d")}, "[[a] [b c] [b d]]"},
		"a batch has one owner":                          {Config{}, []*write{named("a"), named("b"), other, named("c")}, "[[a] [b] [e] [c]]"},
		"a batch has a limit":                            {Config{BatchLimit: 2}, []*write{named("a"), named("b"), named("c"), named("d")}, "[[a] [b c] [d]]"},
		"a batch has a limit of bytes":                   {Config{BatchBytes: 700}, []*write{named("a"), named("b"), named("c"), named("d")}, "[[a] [b] [c] [d]]"},
		"two commits at once":                            {Config{Commits: 2}, []*write{named("a"), named("b"), named("c"), named("d")}, "[[a] [b] [c d]]"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &fakeEngine{}
				for i, err := range submit(newCommitter(f, c.config), c.writes...) {
					if want := c.writes[i].key.XID == "taken"; errors.Is(err, runner.ErrExists) != want || !want && err != nil {
						t.Errorf("%s: %v", c.writes[i].key.XID, err)
					}
				}
				if got := fmt.Sprint(f.batches); got != c.want || f.most != max(c.config.Commits, 1) {
					t.Errorf("got %s, %d at once, want %s", got, f.most, c.want)
				}
			})
		})
	}
}

// TestOneBadWriteDoesNotSpoilTheBatch: where the whole is certain to be
// undone, each is written alone; where it is not, all are told.
func TestOneBadWriteDoesNotSpoilTheBatch(t *testing.T) {
	errBad := errors.New("bad")
	for want, failure := range map[string]error{
		"[<nil> <nil> bad <nil>]":                              errBad,
		"[<nil> engine is away engine is away engine is away]": errEngine,
	} {
		synctest.Test(t, func(t *testing.T) {
			f := &fakeEngine{fail: func(batch []*write) error {
				for _, w := range batch {
					if w.key.XID == "bad" {
						return failure
					}
				}
				return nil
			}}
			got := submit(newCommitter(f, Config{}), named("a"), named("b"), named("bad"), named("c"))
			if fmt.Sprint(got) != want {
				t.Errorf("got %v, want %s", got, want)
			}
		})
	}
}

func TestFullQueueRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got := submit(newCommitter(&fakeEngine{}, Config{QueueLimit: 2}), named("a"), named("b"), named("c"), named("d"), named("e"))
		if fmt.Sprint(got[:3]) != "[<nil> <nil> <nil>]" || !errors.Is(got[3], ErrFull) || !errors.Is(got[4], ErrFull) {
			t.Errorf("got %v", got)
		}
	})
}

// TestCallerMayLeaveBeforeTheBatch: one whose time ends while it waits is not
// written; one that is being written learns what came of it.
func TestCallerMayLeaveBeforeTheBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeEngine{}
		c := newCommitter(f, Config{})
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		var all sync.WaitGroup
		for _, want := range []struct {
			name string
			err  error
		}{{"a", nil}, {"b", context.DeadlineExceeded}} {
			all.Go(func() {
				if err := c.do(ctx, named(want.name)); !errors.Is(err, want.err) {
					t.Errorf("%s: %v, want %v", want.name, err, want.err)
				}
			})
			synctest.Wait()
		}
		all.Go(func() {
			if err := c.do(context.Background(), named("c")); err != nil {
				t.Error(err)
			}
		})
		all.Wait()
		if err := c.do(ctx, named("d")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("too late from the start: %v", err)
		}
		if got := fmt.Sprint(f.batches); got != "[[a] [c]]" {
			t.Errorf("got %s", got)
		}
	})
}

func TestCommitThatHangsIsCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCommitter(&fakeEngine{}, Config{CommitTimeout: time.Millisecond})
		if err := c.do(context.Background(), named("a")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if c.writing != 0 || len(c.waiting) != 0 {
			t.Errorf("%d write, %d wait", c.writing, len(c.waiting))
		}
	})
}
