package informer_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/backlot-video/backlot/kit/informer"
)

// follow runs a handler of Follow until the test ends.
func follow(t *testing.T, words *informer.Informer[word], handler func([]informer.Event[word])) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := words.Follow(ctx, handler); err != nil {
			t.Errorf("follow: %v", err)
		}
	})
	t.Cleanup(func() { cancel(); running.Wait() })
	synctest.Wait()
}

func TestSlowFollowerIsToldTheNewestStateAndHoldsNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := informer.NewStatic()
		source.Put(kind, "", "hot", text("0"))
		source.Put(kind, "", "gone", text("0"))
		registry := prometheus.NewRegistry()
		words, _ := start(t, source, informer.Config{QueueEvents: 8, Registerer: registry})
		synctest.Wait()
		release := make(chan struct{})
		var slow journal
		quick := 0
		follow(t, words, func(events []informer.Event[word]) { slow.handle(events); <-release })
		follow(t, words, func(events []informer.Event[word]) { quick += len(events) })
		slow.expect(t, "added default/gone=0, added default/hot=0")

		for n := 1; n <= 100; n++ {
			source.Put(kind, "", "hot", text(fmt.Sprint(n)))
			source.Put(kind, "", fmt.Sprintf("brief-%d", n), text("x"))
			synctest.Wait()
			source.Delete(kind, "", fmt.Sprintf("brief-%d", n))
			synctest.Wait()
		}
		source.Delete(kind, "", "gone")
		source.Put(kind, "", "new", text("1"))
		synctest.Wait()
		if quick != 2+300+2 {
			t.Errorf("the quick follower saw %d events, want all 304", quick)
		}
		slow.expect(t)
		close(release)
		synctest.Wait()
		slow.mu.Lock()
		told := strings.Join(slow.batches, ", ")
		slow.mu.Unlock()
		if n := strings.Count(told, ","); n > 40 || strings.Count(told, "hot=") > 20 {
			t.Errorf("told of %d events, far more than the queue holds: %s", n, told)
		}
		for _, want := range []string{"updated default/hot=100", "deleted default/gone=0", "added default/new=1"} {
			if !strings.Contains(told, want) {
				t.Errorf("was not told %q: %s", want, told)
			}
		}
		if n := testutil.ToFloat64(coalesced(t, registry)); n < 200 {
			t.Errorf("%v events counted as coalesced", n)
		}
	})
}

// coalesced is the counter as it is registered already.
func coalesced(t *testing.T, registry *prometheus.Registry) prometheus.Collector {
	t.Helper()
	counter := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "backlot_informer_coalesced_total", Help: "Events left out because their handler was too slow: it is told of the newest state.",
	}, []string{"kind"})
	var twice prometheus.AlreadyRegisteredError
	if err := registry.Register(counter); !errors.As(err, &twice) {
		t.Fatalf("not registered: %v", err)
	}
	return twice.ExistingCollector
}

// TestFollowerAppliesWhatItIsToldToTheSameState: events alone, coalesced or
// not, make the same objects as the store has, and Old is always what was told
// before.
func TestFollowerAppliesWhatItIsToldToTheSameState(t *testing.T) {
	const seed = 7
	synctest.Test(t, func(t *testing.T) {
		random := rand.New(rand.NewPCG(seed, 0))
		source := informer.NewStatic()
		words, _ := start(t, source, informer.Config{QueueEvents: 1})
		synctest.Wait()
		told := map[string]string{}
		delay := make(chan time.Duration, 1)
		follow(t, words, func(events []informer.Event[word]) {
			for _, e := range events {
				before, had := told[e.Object.Name]
				if had != (e.Old != nil) || had && e.Old.Spec.GetValue() != before {
					t.Errorf("%s of %s: old is %v, told before was %q", e.Type, e.Object.Name, e.Old, before)
				}
				if told[e.Object.Name] = e.Object.Spec.GetValue(); e.Type == informer.Deleted {
					delete(told, e.Object.Name)
				}
			}
			select {
			case d := <-delay:
				time.Sleep(d)
			default:
			}
		})
		for n := range 2000 {
			name := fmt.Sprintf("w%d", random.IntN(12))
			if random.IntN(3) == 0 {
				source.Delete(kind, "", name)
			} else {
				source.Put(kind, "", name, text(fmt.Sprint(n)))
			}
			if random.IntN(40) == 0 {
				select {
				case delay <- time.Second:
				default:
				}
			}
			if random.IntN(2) == 0 {
				synctest.Wait()
			}
			if random.IntN(100) == 0 {
				time.Sleep(2 * time.Second)
			}
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		list := words.List()
		for _, object := range list {
			if told[object.Name] != object.Spec.GetValue() {
				t.Errorf("%s is %q, told was %q (seed %d)", object.Name, object.Spec.GetValue(), told[object.Name], seed)
			}
		}
		if len(told) != len(list) {
			t.Errorf("told of %d objects, there are %d (seed %d)", len(told), len(list), seed)
		}
	})
}

func TestDeletionsThatWereMissedSaySo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &faulty{Static: informer.NewStatic()}
		source.Put(kind, "", "a", text("1"))
		source.Put(kind, "", "b", text("1"))
		words, _ := start(t, source, informer.Config{})
		synctest.Wait()
		missed := map[string]bool{}
		words.OnChange(func(events []informer.Event[word]) {
			for _, e := range events {
				if e.Type == informer.Deleted {
					missed[e.Object.Name] = e.Missed
				}
			}
		})
		source.Delete(kind, "", "a")
		synctest.Wait()
		source.setDown(errors.New("unplugged"))
		source.Delete(kind, "", "b")
		source.Compact()
		source.setDown(nil)
		time.Sleep(30 * time.Second)
		synctest.Wait()
		if a, b := missed["a"], missed["b"]; a || !b || len(missed) != 2 {
			t.Errorf("missed: %v", missed)
		}
	})
}

func TestResyncTellsHandlersOfEverythingAnew(t *testing.T) {
	times := func(seed uint64) (all []time.Duration) {
		synctest.Test(t, func(t *testing.T) {
			source := informer.NewStatic()
			source.Put(kind, "", "a", text("1"))
			source.Put(kind, "", "b", text("1"))
			words, _ := start(t, source, informer.Config{Resync: time.Minute, Seed: seed})
			synctest.Wait()
			began := time.Now()
			words.OnChange(func(events []informer.Event[word]) {
				if events[0].Type == informer.Updated {
					if all = append(all, time.Since(began)); len(events) != 2 || events[0].Old != events[0].Object {
						t.Errorf("resync told %v", events)
					}
				}
			})
			time.Sleep(10 * time.Minute)
			synctest.Wait()
		})
		return all
	}
	first := times(1)
	if len(first) < 8 || len(first) > 11 {
		t.Errorf("%d resyncs in 10 minutes", len(first))
	}
	for n := 1; n < len(first); n++ {
		if gap := first[n] - first[n-1]; gap < 54*time.Second || gap > 66*time.Second {
			t.Errorf("%v between resyncs", gap)
		}
	}
	if same := times(1); fmt.Sprint(same) != fmt.Sprint(first) {
		t.Errorf("the same seed: %v, then %v", first, same)
	}
	if other := times(2); other[0] == first[0] {
		t.Error("another seed resyncs at the same time")
	}
}

func TestIndexFollowsItsObjects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := informer.NewStatic()
		source.Put(kind, "", "a", text("red round"))
		words, _ := start(t, source, informer.Config{})
		synctest.Wait()
		of := func(object *informer.Object[word]) []string { return strings.Fields(object.Spec.GetValue()) }
		index, err := words.AddIndex("words", of)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := words.AddIndex("words", of); err == nil {
			t.Error("a second index of the same name was taken")
		}
		if same, found := words.Index("words"); !found || same != index {
			t.Error("the index is not found by its name")
		}
		expect := func(want string) {
			t.Helper()
			synctest.Wait()
			var got []string
			for _, value := range index.Values() {
				var names []string
				for _, object := range index.Lookup(value) {
					names = append(names, object.Name)
				}
				got = append(got, value+":"+strings.Join(names, ","))
			}
			if text := strings.Join(got, " "); text != want {
				t.Errorf("index is %q, want %q", text, want)
			}
		}
		expect("red:a round:a")
		source.Put(kind, "", "b", text("red"))
		expect("red:a,b round:a")
		source.Put(kind, "", "a", text("blue round"))
		expect("blue:a red:b round:a")
		source.Delete(kind, "", "b")
		expect("blue:a round:a")
		if object := index.Lookup("blue")[0]; object.Spec.GetValue() != "blue round" {
			t.Errorf("found %v", object)
		}
	})
}

// shout is a projection: the length of a text, and the text in capitals.
type shout struct {
	length int
	text   string
}

type shouter struct{}

func (shouter) Decode(item *informer.Item) (shout, error) {
	if len(item.Spec) < 2 {
		return shout{}, errors.New("short")
	}
	return shout{len(item.Spec) - 2, strings.ToUpper(string(item.Spec[2:]))}, nil
}

func TestProjectionIsWhatIsHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := informer.NewStatic()
		source.Put(kind, "", "a", text("hello"))
		shouts := informer.NewDecoded(source, kind, shouter{}, informer.Config{})
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { _ = shouts.Run(ctx) })
		synctest.Wait()
		if got, _ := shouts.Get("", "a"); got != (shout{5, "HELLO"}) {
			t.Errorf("got %v", got)
		}
		cancel()
		running.Wait()
		kept := informer.NewDecoded(source, kind, shouter{}, informer.Config{SnapshotFile: t.TempDir() + "/s"})
		if err := kept.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "SnapshotFile") {
			t.Errorf("a snapshot of what cannot be encoded: %v", err)
		}
	})
}

func TestMoreObjectsThanAllowedLeaveTheLastGoodState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := informer.NewStatic()
		source.Put(kind, "", "a", text("1"))
		source.Put(kind, "", "b", text("1"))
		words, _ := start(t, source, informer.Config{MaxObjects: 2})
		synctest.Wait()
		source.Put(kind, "", "c", text("1"))
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := len(words.List()); n != 2 {
			t.Errorf("%d objects are held", n)
		}
		source.Delete(kind, "", "a")
		time.Sleep(time.Minute)
		synctest.Wait()
		if _, found := words.Get("", "c"); !found || len(words.List()) != 2 {
			t.Errorf("after one has gone: %v", words.List())
		}
	})
}

// ending ends every watch after a minute, as API servers do.
type ending struct{ faulty }

func (e *ending) Watch(ctx context.Context, kind, namespace string, from int64, deliver func(informer.Batch) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, time.Minute, informer.ErrEnded)
	defer cancel()
	return e.faulty.Watch(ctx, kind, namespace, from, deliver)
}

func TestEndOfAWatchIsNoFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &ending{faulty{Static: informer.NewStatic()}}
		registry := prometheus.NewRegistry()
		start(t, source, informer.Config{Registerer: registry})
		time.Sleep(10*time.Minute + time.Second)
		synctest.Wait()
		if n := source.watch.Load(); n < 10 || n > 11 {
			t.Errorf("%d watches in 10 minutes", n)
		}
		if n := source.lists.Load(); n != 1 {
			t.Errorf("%d lists", n)
		}
		if n, err := testutil.GatherAndCount(registry, "backlot_informer_failures_total"); n != 0 || err != nil {
			t.Errorf("%d kinds of failures, %v", n, err)
		}
	})
}

// busy asks for patience.
type busy struct{ faulty }

type later struct{ error }

func (later) RetryAfter() time.Duration { return 8 * time.Second }

func TestSourceMayAskForPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &busy{faulty{Static: informer.NewStatic(), down: fmt.Errorf("list: %w", later{errors.New("busy")})}}
		start(t, source, informer.Config{})
		time.Sleep(30 * time.Second)
		synctest.Wait()
		if n := source.lists.Load(); n < 4 || n > 5 {
			t.Errorf("%d lists in 30 s, though each was told to wait 8 s", n)
		}
	})
}
