// Package ack keeps what instances said of the configuration that they were
// given, and sums it up.
//
//	book.go    Book: the newest report of each instance, under a lease
//	merge.go   reports of several members as one list
//	rollout.go reports by kind: who has what is in force, who rejects it
//
// It is in memory, of each member what that member was told. Nothing is
// written: a release that thousands of instances take at once would else be
// thousands of writes to the log, and what is lost with a member is said again
// within a lease. Who wants all asks all members. It does no I/O. All of it is
// safe for concurrent use.
package ack

import (
	"cmp"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
)

// Lease is how long an instance is known after its last report.
const Lease = 30 * time.Second

// MaxInstances is how many instances of all tenants a Book knows.
const MaxInstances = 20_000

// ErrFull means that there are too many instances.
var ErrFull = errors.New("too many instances report to this member")

// Entry is the newest report of an instance. It is shared: never changed.
type Entry struct {
	Report *configstorev1.Report
	Heard  time.Time
}

// ID is the instance's.
func (e Entry) ID() string { return e.Report.GetSubscriber().GetId() }

type name struct{ tenant, id string }

// Book holds the reports that one member was told.
type Book struct {
	clock    func() time.Time
	rejected *prometheus.CounterVec

	mu      sync.Mutex
	entries map[name]Entry
	swept   time.Time // when those whose lease had ended were dropped last
}

// NewBook returns an empty book. registerer may be nil.
func NewBook(clock func() time.Time, registerer prometheus.Registerer) *Book {
	b := &Book{
		clock: clock, entries: make(map[name]Entry),
		rejected: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "backlot_configstore_rejected_total", Help: "Objects that instances reported as rejected, by kind.",
		}, []string{"kind"}),
	}
	if registerer != nil {
		registerer.MustRegister(b.rejected,
			prometheus.NewGaugeFunc(prometheus.GaugeOpts{
				Name: "backlot_configstore_reporting_instances", Help: "Instances whose reports this member knows.",
			}, func() float64 { return float64(b.count(func(Entry) bool { return true })) }),
			prometheus.NewGaugeFunc(prometheus.GaugeOpts{
				Name: "backlot_configstore_rejecting_instances", Help: "Instances that report to this member and reject something.",
			}, func() float64 { return float64(b.count(rejects)) }))
	}
	return b
}

func rejects(e Entry) bool {
	return slices.ContainsFunc(e.Report.GetKinds(), func(a *configstorev1.Acknowledgement) bool { return len(a.GetRejected()) > 0 })
}

// Put takes a report over, unless a later one is there. known tells whether a
// kind exists: others are no labels of metrics.
func (b *Book) Put(tenant string, report *configstorev1.Report, known func(kind string) bool) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.clock()
	at := name{tenant, report.GetSubscriber().GetId()}
	before, found := b.entries[at]
	if found && later(before.Report, report) {
		return nil
	}
	if !found && len(b.entries) >= MaxInstances {
		b.swept = time.Time{}
		if b.sweep(now); len(b.entries) >= MaxInstances {
			return ErrFull
		}
	}
	b.entries[at] = Entry{report, now}
	b.sweep(now)
	for kind, fresh := range newRejections(before.Report, report) {
		if known(kind) {
			b.rejected.WithLabelValues(kind).Add(float64(fresh))
		}
	}
	return nil
}

// later tells whether a was said after b.
func later(a, b *configstorev1.Report) bool {
	return cmp.Or(cmp.Compare(a.GetStartedAt(), b.GetStartedAt()), cmp.Compare(a.GetSequence(), b.GetSequence())) > 0
}

// newRejections counts, by kind, what is rejected in after and was not before.
func newRejections(before, after *configstorev1.Report) map[string]int {
	type rejection struct {
		kind, namespace, name string
		revision              int64
	}
	each := func(report *configstorev1.Report, do func(rejection)) {
		for _, a := range report.GetKinds() {
			for _, r := range a.GetRejected() {
				do(rejection{a.GetKind(), r.GetNamespace(), r.GetName(), r.GetRevision()})
			}
		}
	}
	old := make(map[rejection]bool)
	each(before, func(r rejection) { old[r] = true })
	var fresh map[string]int
	each(after, func(r rejection) {
		if !old[r] {
			if fresh == nil {
				fresh = make(map[string]int)
			}
			fresh[r.kind]++
		}
	})
	return fresh
}

// sweep drops those whose lease has ended, at most once a second.
func (b *Book) sweep(now time.Time) {
	if now.Sub(b.swept) < time.Second {
		return
	}
	b.swept = now
	for at, entry := range b.entries {
		if now.Sub(entry.Heard) > Lease {
			delete(b.entries, at)
		}
	}
}

func (b *Book) count(which func(Entry) bool) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.sweep(b.clock())
	sum := 0
	for _, entry := range b.entries {
		if which(entry) {
			sum++
		}
	}
	return sum
}

// Entries are those of a tenant, in order of their ids.
func (b *Book) Entries(tenant string) []Entry {
	b.mu.Lock()
	now := b.clock()
	var all []Entry
	for at, entry := range b.entries {
		if at.tenant == tenant && now.Sub(entry.Heard) <= Lease {
			all = append(all, entry)
		}
	}
	b.mu.Unlock()
	slices.SortFunc(all, byID)
	return all
}

func byID(a, b Entry) int { return cmp.Compare(a.ID(), b.ID()) }
