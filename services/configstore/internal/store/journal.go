package store

import (
	"slices"
	"sync/atomic"

	"google.golang.org/protobuf/proto"

	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
)

// Bounds of a journal and of one batch that is taken from it.
const (
	maxJournalEvents = 4096
	maxJournalBytes  = 8 << 20
	maxBatchEvents   = 512
)

// topic is what is subscribed to; an empty kind means all kinds of the tenant.
type topic struct{ tenant, kind string }

// entry is the events of one revision. They are shared: never changed.
type entry struct {
	revision int64
	events   []*configstorev1.Event
	trials   []*trial
	bytes    int
}

// journal holds the newest changes of one topic. Subscribers read it at their
// own pace: one that falls behind its floor is cut off, and holds nobody back.
type journal struct {
	floor   int64 // complete after this revision
	entries []entry
	events  int
	bytes   int

	// subscribers are in the order in which they came, as far as it goes: they
	// are woken by it, and who came together lies together in memory.
	subscribers []*Subscription

	// seen is what subscribers read, without a lock.
	seen atomic.Pointer[view]
}

// view is a journal as it was published. It is never changed.
type view struct {
	floor   int64
	entries []entry
	err     error // not nil: there is nothing more, for this reason

	// Of the last entry, for those who have all before it; newest is 0 where
	// there is none.
	newest, before int64
	events         []*configstorev1.Event
	tried          bool
}

func newJournal(floor int64) *journal {
	j := &journal{floor: floor}
	j.publish()
	return j
}

// publish lets subscribers see what was appended. Entries behind the end of a
// view may be added in place, those in it are left alone.
func (j *journal) publish() {
	seen := &view{floor: j.floor, entries: slices.Clip(j.entries)}
	if last := len(j.entries) - 1; last >= 0 {
		e := &j.entries[last]
		seen.newest, seen.before, seen.events, seen.tried = e.revision, j.floor, slices.Clip(e.events), len(e.trials) > 0
		if last > 0 {
			seen.before = j.entries[last-1].revision
		}
	}
	j.seen.Store(seen)
}

// wake has the subscribers look.
func (j *journal) wake() {
	for _, s := range j.subscribers {
		s.signal()
	}
}

func (j *journal) enter(s *Subscription) {
	s.place = len(j.subscribers)
	j.subscribers = append(j.subscribers, s)
}

// leave puts the last subscriber in the place of the one that leaves.
func (j *journal) leave(s *Subscription) {
	last := len(j.subscribers) - 1
	moved := j.subscribers[last]
	j.subscribers[s.place], moved.place = moved, s.place
	j.subscribers[last] = nil
	j.subscribers = j.subscribers[:last]
}

// end tells the subscribers that there is nothing more.
func (j *journal) end(err error) {
	j.seen.Store(&view{err: err})
	j.wake()
}

// append adds a revision. Beyond the bounds it drops the oldest quarter, so
// that dropping costs little per revision, but never the newest.
func (j *journal) append(revision int64, events []*configstorev1.Event) {
	j.add(entry{revision: revision, events: events, bytes: sizeOf(events)})
}

func sizeOf(events []*configstorev1.Event) (bytes int) {
	for _, event := range events {
		bytes += proto.Size(event.GetObject().GetSpec()) + 256
	}
	return bytes
}

// try adds what a canary became. Of a revision that is there already it is
// added to.
func (j *journal) try(revision int64, t *trial) {
	fresh := entry{revision: revision, trials: []*trial{t}, bytes: sizeOf(t.on) + sizeOf(t.off)}
	if last := len(j.entries) - 1; last >= 0 && j.entries[last].revision == revision {
		before := j.entries[last]
		j.entries = slices.Clone(j.entries[:last]) // others read the last one
		j.events, j.bytes = j.events-before.size(), j.bytes-before.bytes
		fresh.events, fresh.trials = before.events, append(before.trials, t)
		fresh.bytes += before.bytes
	}
	j.add(fresh)
}

// size counts an entry's events.
func (e *entry) size() int {
	size := len(e.events)
	for _, t := range e.trials {
		size += len(t.on) + len(t.off)
	}
	return size
}

func (j *journal) add(fresh entry) {
	j.entries = append(j.entries, fresh)
	j.events += fresh.size()
	j.bytes += fresh.bytes
	over, drop := j.events > maxJournalEvents || j.bytes > maxJournalBytes, 0
	for over && drop < len(j.entries)-1 && (j.events > maxJournalEvents*3/4 || j.bytes > maxJournalBytes*3/4) {
		old := j.entries[drop]
		j.floor = old.revision
		j.events -= old.size()
		j.bytes -= old.bytes
		drop++
	}
	if drop > 0 {
		j.entries = slices.Clone(j.entries[drop:])
	}
}

// after takes the events of a namespace after a revision, whole revisions up
// to about most events, as a viewer is given them; nil: without canaries. reached
// is the last revision that was looked at; rest tells that there are more.
func (v *view) after(
	revision int64, namespace string, most int, viewer *configstorev1.Subscriber,
) (events []*configstorev1.Event, reached int64, rest bool) {
	start, found := slices.BinarySearchFunc(v.entries, revision, func(e entry, revision int64) int {
		return int(min(max(e.revision-revision, -1), 1))
	})
	if found {
		start++
	}
	reached = revision
	for _, e := range v.entries[start:] {
		if len(events) >= most {
			return events, reached, true
		}
		for _, event := range e.events {
			if namespace == "" || event.GetObject().GetKey().GetNamespace() == namespace {
				events = append(events, event)
			}
		}
		for _, t := range e.trials {
			if viewer != nil {
				events = append(events, t.events(viewer, namespace)...)
			}
		}
		reached = e.revision
	}
	return events, reached, false
}
