package configstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/backlot-video/backlot/e2e/internal/quorum"
	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
)

// event is one change as a watcher saw it.
type event struct {
	revision int64
	key      int
	value    string // empty: deleted
	release  string
}

// watcher follows the objects from one member after the other and remembers
// what it was sent.
type watcher struct {
	latest bool // only the newest state matters

	mu      sync.Mutex
	cursor  int64   // all up to it was sent
	events  []event // of who wants every revision
	parts   map[string]int
	cells   [keys]cell
	expired int   // answers that the cursor is out of range
	opened  int   // streams
	fault   error // the first
}

func newWatcher(latest bool, from int64) *watcher {
	return &watcher{latest: latest, cursor: from, parts: map[string]int{}}
}

// run watches, beginning at one of the members, until ctx ends.
func (w *watcher) run(ctx context.Context, members []*quorum.Member, first int) {
	for n := first; ctx.Err() == nil; n++ {
		err := w.follow(ctx, members[n%len(members)])
		if connect.CodeOf(err) == connect.CodeOutOfRange {
			w.mu.Lock()
			w.expired++
			w.mu.Unlock()
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

func (w *watcher) follow(ctx context.Context, m *quorum.Member) error {
	w.mu.Lock()
	from := w.cursor
	w.mu.Unlock()
	stream, err := m.Objects.Watch(ctx, &configstorev1.WatchRequest{Kind: kind, FromRevision: from, Latest: w.latest})
	if err != nil {
		return err
	}
	defer stream.Close()
	for stream.Receive() {
		w.take(stream.Msg())
	}
	return stream.Err()
}

// take is one message. Its events must be after all that was sent, in order of
// revision, and no release may be in two messages.
func (w *watcher) take(message *configstorev1.WatchResponse) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.opened++
	if message.GetReset_() {
		w.cells = [keys]cell{}
	}
	last := w.cursor
	for _, raw := range message.GetEvents() {
		object := raw.GetObject()
		e := event{revision: object.GetRevision(), key: keyIn(object.GetKey()), release: object.GetReleaseId()}
		w.cells[e.key] = cell{}
		if raw.GetType() == configstorev1.Event_TYPE_PUT {
			w.cells[e.key] = cellOf(object)
			e.value = w.cells[e.key].value
		}
		if w.latest {
			continue
		}
		if e.revision <= w.cursor || e.revision < last {
			w.blame("event %+v after revision %d, of which %d was the last", e, w.cursor, last)
		}
		if of := w.parts[e.release]; of != 0 && of != w.opened {
			w.blame("release %s came in two parts", e.release)
		}
		w.parts[e.release], last = w.opened, e.revision
		w.events = append(w.events, e)
	}
	if reached := message.GetRevision(); reached < last {
		w.blame("a message up to %d has events up to %d", reached, last)
	}
	w.cursor = max(w.cursor, message.GetRevision())
}

func (w *watcher) blame(format string, args ...any) {
	if w.fault == nil {
		w.fault = fmt.Errorf(format, args...)
	}
}

// reached tells whether all up to a revision was sent.
func (w *watcher) reached(revision int64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.cursor >= revision
}

// check compares what was sent with what was done: every release whole, once,
// and nothing else.
func (w *watcher) check(carriedOut map[string]done, final [keys]cell) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cells != final {
		w.blame("ends with %v, the store with %v", w.cells, final)
	}
	if w.latest || w.fault != nil {
		return w.fault
	}
	byRelease := map[string][]event{}
	for _, e := range w.events {
		byRelease[e.release] = append(byRelease[e.release], e)
	}
	var faults []error
	for reason, release := range carriedOut {
		events := byRelease[release.id]
		var got []int
		for _, e := range events {
			if e.revision != release.revision {
				faults = append(faults, fmt.Errorf("%s: %+v, released as %+v", reason, e, release))
			}
			got = append(got, e.key)
		}
		if slices.Sort(got); !slices.Equal(got, release.keys) {
			faults = append(faults, fmt.Errorf("%s: released as %+v, seen were %v", reason, release, events))
		}
		delete(byRelease, release.id)
	}
	for id, events := range byRelease {
		faults = append(faults, fmt.Errorf("release %s, which there is not: %v", id, events))
	}
	return errors.Join(faults...)
}

// TestWatcherFindsWhatMustNotBe plants faults in streams.
func TestWatcherFindsWhatMustNotBe(t *testing.T) {
	put := func(revision int64, key int, release string) *configstorev1.Event {
		object := requestOf(input{writes: []write{{key: key, value: fmt.Sprint(revision)}}}).GetChanges()[0].GetPut()
		object.Revision, object.ReleaseId = revision, release
		return &configstorev1.Event{Type: configstorev1.Event_TYPE_PUT, Object: object}
	}
	message := func(revision int64, events ...*configstorev1.Event) *configstorev1.WatchResponse {
		return &configstorev1.WatchResponse{Revision: revision, Events: events}
	}
	carriedOut := map[string]done{"1": {"r", 5, []int{0, 1}}, "2": {"s", 6, []int{0}}}
	final := [keys]cell{{"6", 6}, {"5", 5}}
	r0, r1, s0 := put(5, 0, "r"), put(5, 1, "r"), put(6, 0, "s")
	for name, c := range map[string]struct {
		ok       bool
		messages []*configstorev1.WatchResponse
	}{
		"as it should be": {true, []*configstorev1.WatchResponse{message(4), message(5, r0, r1), message(6, s0)}},
		"at once":         {true, []*configstorev1.WatchResponse{message(6, r0, r1, s0)}},
		"missing":         {false, []*configstorev1.WatchResponse{message(6, s0)}},
		"twice":           {false, []*configstorev1.WatchResponse{message(5, r0, r1), message(5, r0, r1), message(6, s0)}},
		"torn":            {false, []*configstorev1.WatchResponse{message(4, r0), message(5, r1), message(6, s0)}},
		"half":            {false, []*configstorev1.WatchResponse{message(5, r1), message(6, s0)}},
		"out of order":    {false, []*configstorev1.WatchResponse{message(6, s0, r0, r1)}},
		"nobody's":        {false, []*configstorev1.WatchResponse{message(6, r0, r1, s0), message(7, put(7, 0, "x"))}},
	} {
		w := newWatcher(false, 3)
		for _, m := range c.messages {
			w.take(m)
		}
		if err := w.check(carriedOut, final); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}
