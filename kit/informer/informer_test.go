package informer_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/backlot-video/backlot/kit/informer"
)

const kind = "Word"

type word = *wrapperspb.StringValue

func text(value string) word { return wrapperspb.String(value) }

// start runs an informer until the test ends.
func start(t *testing.T, source informer.Source, config informer.Config) (*informer.Informer[word], func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	words := informer.New[word](source, kind, config)
	var running sync.WaitGroup
	running.Go(func() {
		if err := words.Run(ctx); err != nil {
			t.Errorf("run: %v", err)
		}
	})
	stop := func() { cancel(); running.Wait() }
	t.Cleanup(stop)
	return words, stop
}

// journal records what a handler is told, one string for each batch.
type journal struct {
	mu      sync.Mutex
	batches []string
}

func (j *journal) handle(events []informer.Event[word]) {
	var parts []string
	for _, e := range events {
		parts = append(parts, fmt.Sprintf("%s %s/%s=%s", e.Type, e.Object.Namespace, e.Object.Name, e.Object.Spec.GetValue()))
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.batches = append(j.batches, strings.Join(parts, ", "))
}

func (j *journal) expect(t *testing.T, want ...string) {
	t.Helper()
	j.mu.Lock()
	defer j.mu.Unlock()
	if !slices.Equal(j.batches, want) {
		t.Errorf("handler was told\n\t%s\nwant\n\t%s", strings.Join(j.batches, "\n\t"), strings.Join(want, "\n\t"))
	}
	j.batches = nil
}

// faulty fails listings and watches while it is down, and counts them.
type faulty struct {
	*informer.Static
	mu    sync.Mutex
	down  error
	cut   context.CancelCauseFunc
	lists atomic.Int64
	watch atomic.Int64
}

func (f *faulty) setDown(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.down = err
	if f.cut != nil && err != nil {
		f.cut(err)
	}
}

func (f *faulty) List(ctx context.Context, kind, namespace string, deliver func([]informer.Item) error) (int64, error) {
	f.lists.Add(1)
	f.mu.Lock()
	down := f.down
	f.mu.Unlock()
	if down != nil {
		return 0, down
	}
	return f.Static.List(ctx, kind, namespace, deliver)
}

func (f *faulty) Watch(ctx context.Context, kind, namespace string, from int64, deliver func(informer.Batch) error) error {
	f.watch.Add(1)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	f.mu.Lock()
	if f.down != nil {
		defer f.mu.Unlock()
		return f.down
	}
	f.cut = cancel
	f.mu.Unlock()
	return f.Static.Watch(ctx, kind, namespace, from, deliver)
}

func TestHandlersSeeEveryChangeInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := informer.NewStatic()
		source.Put(kind, "", "a", text("1"))
		source.Put(kind, "other", "b", text("2"))
		source.Put("Else", "", "c", text("3"))

		words, _ := start(t, source, informer.Config{})
		var told journal
		words.OnChange(told.handle)
		if err := words.WaitSynced(t.Context()); err != nil {
			t.Fatal(err)
		}
		told.expect(t, "added default/a=1, added other/b=2")

		source.Put(kind, "", "a", text("1+"))
		synctest.Wait()
		source.Delete(kind, "other", "b")
		source.Delete(kind, "other", "never-was")
		synctest.Wait()
		told.expect(t, "updated default/a=1+", "deleted other/b=2")

		if got, found := words.Get("", "a"); !found || got.GetValue() != "1+" {
			t.Errorf("get a: %v, %v", got, found)
		}
		if _, found := words.Get("other", "b"); found {
			t.Error("deleted object is still there")
		}
		if n := len(words.List()); n != 1 {
			t.Errorf("list has %d objects, want 1", n)
		}
	})
}

func TestHandlerAddedLateIsToldWhatIsThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := informer.NewStatic()
		source.Put(kind, "", "a", text("1"))
		words, _ := start(t, source, informer.Config{})
		synctest.Wait()
		var told journal
		words.OnChange(told.handle)
		told.expect(t, "added default/a=1")
	})
}

func TestNamespaceLimitsWhatIsHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := informer.NewStatic()
		source.Put(kind, "", "a", text("1"))
		source.Put(kind, "other", "b", text("2"))
		words, _ := start(t, source, informer.Config{Namespace: "other"})
		source.Put(kind, "", "c", text("3"))
		synctest.Wait()
		if list := words.List(); len(list) != 1 || list[0].Name != "b" {
			t.Errorf("list = %v", list)
		}
	})
}

func TestBrokenWatchResumesWithoutListing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &faulty{Static: informer.NewStatic()}
		source.Put(kind, "", "a", text("1"))
		words, _ := start(t, source, informer.Config{})
		synctest.Wait()
		source.setDown(errors.New("unplugged"))
		source.Put(kind, "", "b", text("2"))
		time.Sleep(time.Minute)
		if _, found := words.Get("", "a"); !found {
			t.Error("state is lost while the source is down")
		}
		if n := source.watch.Load(); n < 8 || n > 25 {
			t.Errorf("%d watches within a minute of failure; back-off is between 1 s and 10 s at the end", n)
		}
		source.setDown(nil)
		time.Sleep(20 * time.Second)
		if _, found := words.Get("", "b"); !found {
			t.Error("change made during the outage is missing")
		}
		if n := source.lists.Load(); n != 1 {
			t.Errorf("listed %d times, want 1", n)
		}
	})
}

func TestCompactionListsAgainAndDeliversDifferences(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &faulty{Static: informer.NewStatic()}
		source.Put(kind, "", "kept", text("1"))
		source.Put(kind, "", "changed", text("1"))
		source.Put(kind, "", "gone", text("1"))
		words, _ := start(t, source, informer.Config{})
		synctest.Wait()
		var told journal
		words.OnChange(told.handle)
		told.expect(t, "added default/changed=1, added default/gone=1, added default/kept=1")

		source.setDown(errors.New("unplugged"))
		source.Put(kind, "", "changed", text("2"))
		source.Delete(kind, "", "gone")
		source.Put(kind, "", "new", text("2"))
		source.Compact()
		source.setDown(nil)
		time.Sleep(30 * time.Second)
		told.expect(t, "updated default/changed=2, deleted default/gone=1, added default/new=2")
		if n := source.lists.Load(); n != 2 {
			t.Errorf("listed %d times, want 2", n)
		}
	})
}

func TestSilentWatchIsOpenedAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &silent{Static: informer.NewStatic()}
		words, _ := start(t, source, informer.Config{IdleTimeout: 30 * time.Second})
		if err := words.WaitSynced(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(40 * time.Second)
		if n := source.watches.Load(); n != 2 {
			t.Errorf("%d watches after 40 s of silence, want 2", n)
		}
	})
}

type silent struct {
	*informer.Static
	watches atomic.Int64
}

func (s *silent) Watch(ctx context.Context, _, _ string, _ int64, _ func(informer.Batch) error) error {
	s.watches.Add(1)
	<-ctx.Done()
	return ctx.Err()
}

func TestStartsFromSnapshotWhileSourceIsDown(t *testing.T) {
	file := filepath.Join(t.TempDir(), "deep", "words.snapshot")
	synctest.Test(t, func(t *testing.T) {
		source := informer.NewStatic()
		source.Put(kind, "", "a", text("1"))
		words, stop := start(t, source, informer.Config{SnapshotFile: file})
		if err := words.WaitSynced(t.Context()); err != nil {
			t.Fatal(err)
		}
		source.Put(kind, "", "b", text("2"))
		synctest.Wait()
		stop()

		broken := &faulty{Static: source, down: errors.New("unplugged")}
		again, _ := start(t, broken, informer.Config{SnapshotFile: file})
		var told journal
		again.OnChange(told.handle)
		if err := again.WaitSynced(t.Context()); err != nil {
			t.Fatal(err)
		}
		told.expect(t, "added default/a=1, added default/b=2")

		source.Delete(kind, "", "a")
		broken.setDown(nil)
		time.Sleep(30 * time.Second)
		told.expect(t, "deleted default/a=1")
	})
}

func TestNoObjectsAreASnapshotToo(t *testing.T) {
	file := filepath.Join(t.TempDir(), "words.snapshot")
	synctest.Test(t, func(t *testing.T) {
		source := informer.NewStatic()
		words, stop := start(t, source, informer.Config{SnapshotFile: file})
		if err := words.WaitSynced(t.Context()); err != nil {
			t.Fatal(err)
		}
		stop()
		again, _ := start(t, &faulty{Static: source, down: errors.New("unplugged")}, informer.Config{SnapshotFile: file})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := again.WaitSynced(ctx); err != nil {
			t.Errorf("a kind without objects holds up a start: %v", err)
		}
	})
}

func TestWaitSyncedEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &faulty{Static: informer.NewStatic(), down: errors.New("unplugged")}
		words, _ := start(t, source, informer.Config{})
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if err := words.WaitSynced(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("err = %v, want deadline exceeded", err)
		}
	})
}

func TestUndecodableObjectLeavesTheOldOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &garbled{Static: informer.NewStatic()}
		source.Put(kind, "", "a", text("good"))
		registry := prometheus.NewRegistry()
		words, _ := start(t, source, informer.Config{Registerer: registry})
		synctest.Wait()
		source.garble.Store(true)
		source.Put(kind, "", "a", text("bad"))
		synctest.Wait()
		if got, _ := words.Get("", "a"); got.GetValue() != "good" {
			t.Errorf("a = %q, want the last good one", got.GetValue())
		}
		want := strings.NewReader("# HELP backlot_informer_refused_total Objects that could not be decoded.\n" +
			"# TYPE backlot_informer_refused_total counter\nbacklot_informer_refused_total{kind=\"Word\"} 1\n")
		if err := testutil.GatherAndCompare(registry, want, "backlot_informer_refused_total"); err != nil {
			t.Error(err)
		}
	})
}

type garbled struct {
	*informer.Static
	garble atomic.Bool
}

func (g *garbled) Watch(ctx context.Context, kind, namespace string, from int64, deliver func(informer.Batch) error) error {
	return g.Static.Watch(ctx, kind, namespace, from, func(batch informer.Batch) error {
		for n := range batch.Changes {
			if g.garble.Load() {
				batch.Changes[n].Spec = []byte{0xff, 0xff}
			}
		}
		return deliver(batch)
	})
}

func TestReadersAndOneWriterDoNotRace(t *testing.T) {
	source := informer.NewStatic()
	words, _ := start(t, source, informer.Config{})
	if err := words.WaitSynced(t.Context()); err != nil {
		t.Fatal(err)
	}
	const changes = 500
	reached := make(chan struct{})
	words.OnChange(func(events []informer.Event[word]) {
		for _, e := range events {
			if e.Object.Spec.GetValue() == fmt.Sprint(changes) {
				close(reached)
			}
		}
	})
	var work sync.WaitGroup
	for range 4 {
		work.Go(func() {
			for {
				select {
				case <-reached:
					return
				default:
					words.Get("", "a")
					words.List()
				}
			}
		})
	}
	for n := 1; n <= changes; n++ {
		source.Put(kind, "", "a", text(fmt.Sprint(n)))
	}
	work.Wait()
}
