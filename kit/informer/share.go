package informer

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
)

// Bounds of what a shared watch keeps for those who are behind.
const (
	maxSharedChanges = 4096
	maxSharedBytes   = 4 << 20
)

var errBehind = fmt.Errorf("%w: too slow for a shared watch", ErrEnded)

// Shared is a Source whose watches of the same kind and namespace are one of
// another source: each change comes over the network once for a process,
// however many of its informers follow it. A watcher that falls behind by more
// than is kept is ended, and resumes by a watch of its own; it holds nobody up.
type Shared struct {
	source Source

	mu      sync.Mutex
	watches map[selection]*sharedWatch // of all selections that were ever watched
}

type selection struct{ kind, namespace string }

// Share returns a Source over source, whose lists stay one for each caller.
func Share(source Source) *Shared {
	return &Shared{source: source, watches: make(map[selection]*sharedWatch)}
}

// List implements Source.
func (s *Shared) List(ctx context.Context, kind, namespace string, deliver func([]Item) error) (int64, error) {
	return s.source.List(ctx, kind, namespace, deliver)
}

// Watch implements Source. Batches are shared with other watchers.
func (s *Shared) Watch(ctx context.Context, kind, namespace string, from int64, deliver func(Batch) error) error {
	chosen := selection{kind, namespace}
	s.mu.Lock()
	w := s.watches[chosen]
	if w == nil {
		w = &sharedWatch{source: s.source, selection: chosen, floor: from, revision: from}
		s.watches[chosen] = w
	}
	s.mu.Unlock()
	me, joined := w.join(ctx, from)
	if !joined {
		return s.source.Watch(ctx, kind, namespace, from, deliver)
	}
	defer w.leave(me)
	defer context.AfterFunc(ctx, me.signal)()
	for {
		batches, reached, err := w.after(me)
		for _, batch := range batches {
			if err := deliver(batch); err != nil {
				return err
			}
		}
		if reached > 0 {
			if err := deliver(Batch{Revision: reached}); err != nil {
				return err
			}
		}
		if err != nil {
			return err
		}
		<-me.wake
		if err := context.Cause(ctx); err != nil {
			if errors.Is(err, errIdle) { // the same for all: nobody shall join it
				w.end(me.stream, err)
			}
			return err
		}
	}
}

// sharedWatch is one watch of the source, which runs while somebody wants it,
// and the newest of what it gave.
type sharedWatch struct {
	source    Source
	selection selection

	mu       sync.Mutex
	floor    int64 // batches has all after it
	revision int64 // up to it
	batches  []Batch
	changes  int
	bytes    int
	heard    int // batches of the stream, bookmarks too
	stream   *stream
	watchers []*watcher // a new slice for each that comes or leaves
}

// stream is one call of the source's Watch.
type stream struct {
	cancel context.CancelFunc
	ended  chan struct{}
	err    error // guarded by sharedWatch.mu; why it has ended
}

// watcher is one caller of Watch.
type watcher struct {
	wake   chan struct{} // holds one token while there may be something
	stream *stream
	cursor int64
	heard  int
}

func (w *watcher) signal() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

func wake(watchers []*watcher) {
	for _, w := range watchers {
		w.signal()
	}
}

// join opens the stream where there is none. Who begins before what is kept
// cannot join.
func (w *sharedWatch) join(ctx context.Context, from int64) (*watcher, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if from < w.floor {
		return nil, false
	}
	if w.stream == nil {
		if from > w.revision {
			w.forget(from)
		}
		w.heard = 0
		w.open(ctx)
	}
	me := &watcher{wake: make(chan struct{}, 1), stream: w.stream, cursor: from}
	w.watchers = append(slices.Clip(w.watchers), me)
	return me, true
}

// forget begins anew at a revision; w.mu is held.
func (w *sharedWatch) forget(revision int64) {
	w.floor, w.revision, w.batches, w.changes, w.bytes = revision, revision, nil, 0, 0
}

// open runs the source's watch from what is there; w.mu is held.
func (w *sharedWatch) open(ctx context.Context) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx)) // it outlives who wanted it first
	opened := &stream{cancel: cancel, ended: make(chan struct{})}
	w.stream = opened
	from := w.revision
	go func() {
		defer close(opened.ended)
		err := w.source.Watch(ctx, w.selection.kind, w.selection.namespace, from, func(batch Batch) error {
			return w.take(opened, batch)
		})
		w.end(opened, err)
	}()
}

// take keeps a batch and wakes the watchers, which then take w.mu.
func (w *sharedWatch) take(from *stream, batch Batch) error {
	watchers, wanted := w.keep(from, batch)
	if !wanted {
		return context.Canceled
	}
	wake(watchers)
	return nil
}

func (w *sharedWatch) keep(from *stream, batch Batch) (watchers []*watcher, wanted bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stream != from {
		return nil, false
	}
	w.heard++
	w.revision = max(w.revision, batch.Revision)
	if len(batch.Changes) > 0 {
		batch.Changes = slices.Clone(batch.Changes)
		for n := range batch.Changes {
			batch.Changes[n].Spec = bytes.Clone(batch.Changes[n].Spec)
		}
		w.batches = append(w.batches, batch)
		w.changes += len(batch.Changes)
		w.bytes += size(batch)
		w.trim()
	}
	return w.watchers, true
}

func size(batch Batch) (bytes int) {
	for n := range batch.Changes {
		bytes += len(batch.Changes[n].Spec) + 256
	}
	return bytes
}

// trim drops the oldest half beyond the bounds, but never the newest batch;
// w.mu is held.
func (w *sharedWatch) trim() {
	if w.changes <= maxSharedChanges && w.bytes <= maxSharedBytes {
		return
	}
	drop := 0
	for drop < len(w.batches)-1 && (w.changes > maxSharedChanges/2 || w.bytes > maxSharedBytes/2) {
		old := w.batches[drop]
		w.floor = old.Revision
		w.changes -= len(old.Changes)
		w.bytes -= size(old)
		drop++
	}
	w.batches = slices.Clone(w.batches[drop:]) // watchers read the old ones
}

// end tells the watchers why the stream has ended, or is ended. What is kept stays for
// those who resume, unless the source no longer knows what came after it.
func (w *sharedWatch) end(ended *stream, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if ended.err == nil {
		ended.err = err
	}
	ended.cancel()
	if w.stream == ended {
		w.stream = nil
		if errors.Is(err, ErrCompacted) {
			w.forget(w.revision)
		}
	}
	wake(w.watchers)
}

// after is what a watcher lacks: batches, a bookmark where reached is not 0,
// and why there is nothing more.
func (w *sharedWatch) after(me *watcher) (batches []Batch, reached int64, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if me.cursor < w.floor && me.stream.err == nil {
		return nil, 0, errBehind
	}
	if me.cursor >= w.floor {
		batches = w.since(me.cursor)
		told := me.cursor
		if len(batches) > 0 {
			told = batches[len(batches)-1].Revision
		}
		me.cursor = max(told, w.revision)
		if told < w.revision || len(batches) == 0 && me.heard != w.heard {
			reached = me.cursor
		}
		me.heard = w.heard
	}
	return batches, reached, me.stream.err
}

// since is the batches after a revision; of one that has changes from before
// it too, only those after it. w.mu is held.
func (w *sharedWatch) since(revision int64) []Batch {
	start, found := slices.BinarySearchFunc(w.batches, revision, func(b Batch, revision int64) int {
		return cmp.Compare(b.Revision, revision)
	})
	if found {
		start++
	}
	batches := slices.Clip(w.batches[start:])
	old := func(c Change) bool { return c.Revision > 0 && c.Revision <= revision }
	if len(batches) > 0 && slices.ContainsFunc(batches[0].Changes, old) {
		batches = slices.Clone(batches)
		batches[0].Changes = slices.DeleteFunc(slices.Clone(batches[0].Changes), old)
	}
	return batches
}

// leave ends the stream where nobody is left, and waits for it.
func (w *sharedWatch) leave(me *watcher) {
	w.mu.Lock()
	w.watchers = slices.DeleteFunc(slices.Clone(w.watchers), func(other *watcher) bool { return other == me })
	last := !slices.ContainsFunc(w.watchers, func(other *watcher) bool { return other.stream == me.stream })
	if last && w.stream == me.stream {
		w.stream = nil
	}
	w.mu.Unlock()
	if last {
		me.stream.cancel()
		<-me.stream.ended
	}
}
