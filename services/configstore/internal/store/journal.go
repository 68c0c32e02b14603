package store

import (
	"slices"

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
	bytes    int
}

// journal holds the newest changes of one topic. Subscribers read it at their
// own pace: one that falls behind its floor is cut off, and holds nobody back.
type journal struct {
	floor   int64 // complete after this revision
	entries []entry
	events  int
	bytes   int
	changed chan struct{} // closed and replaced at every append
}

func newJournal(floor int64) *journal {
	return &journal{floor: floor, changed: make(chan struct{})}
}

// append adds a revision. Beyond the bounds it drops the oldest quarter, so
// that dropping costs little per revision, but never the newest.
func (j *journal) append(revision int64, events []*configstorev1.Event) {
	fresh := entry{revision: revision, events: events}
	for _, event := range events {
		fresh.bytes += proto.Size(event.GetObject().GetSpec()) + 256
	}
	j.entries = append(j.entries, fresh)
	j.events += len(events)
	j.bytes += fresh.bytes
	over, drop := j.events > maxJournalEvents || j.bytes > maxJournalBytes, 0
	for over && drop < len(j.entries)-1 && (j.events > maxJournalEvents*3/4 || j.bytes > maxJournalBytes*3/4) {
		old := j.entries[drop]
		j.floor = old.revision
		j.events -= len(old.events)
		j.bytes -= old.bytes
		drop++
	}
	if drop > 0 {
		j.entries = slices.Delete(j.entries, 0, drop)
	}
	close(j.changed)
	j.changed = make(chan struct{})
}

// after takes the events of a namespace after a revision, whole revisions up
// to about most events. reached is the last revision that was looked at;
// rest tells that there are more.
func (j *journal) after(revision int64, namespace string, most int) (events []*configstorev1.Event, reached int64, rest bool) {
	start, found := slices.BinarySearchFunc(j.entries, revision, func(e entry, revision int64) int {
		return int(min(max(e.revision-revision, -1), 1))
	})
	if found {
		start++
	}
	reached = revision
	for _, e := range j.entries[start:] {
		if len(events) >= most {
			return events, reached, true
		}
		for _, event := range e.events {
			if namespace == "" || event.GetObject().GetKey().GetNamespace() == namespace {
				events = append(events, event)
			}
		}
		reached = e.revision
	}
	return events, reached, false
}
