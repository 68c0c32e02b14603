package catalog

import (
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/backlot-video/backlot/services/rules/list"
)

// ErrUnknownList is a name that no list in force has.
var ErrUnknownList = errors.New("unknown list")

// ListStatus tells what became of a named list.
type ListStatus struct {
	Name     string
	Version  string // in force; empty when none is
	Match    list.Match
	Entries  int
	Bytes    int64 // of memory
	Took     time.Duration
	At       time.Time // when it took force
	Rejected string    // why the newest version is not in force; empty when it is
	Refused  string    // that version
}

// PutList gives a named list its entries, which match as list.Auto.
func (c *Catalog) PutList(name string, entries []string) error {
	start := time.Now()
	built, err := list.New(entries)
	if err != nil {
		c.RefuseList(name, "", err)
		return err
	}
	c.SetList(name, "", built, time.Since(start))
	return nil
}

// SetList puts a version of a list in force. Rulesets see it at once; those
// that waited for the list are tried again. took is how long it was loaded.
func (c *Catalog) SetList(name, version string, l *list.List, took time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, known := c.lists.Ref(name)
	c.lists.Set(name, l)
	c.listInfo[name] = &ListStatus{
		Name: name, Version: version, Match: l.Match(), Entries: l.Len(), Bytes: l.Bytes(), Took: took, At: c.config.Clock(),
	}
	c.metrics.lists.set(c.listInfo[name])
	c.config.Log.Info("list loaded", "list", name, "version", version, "entries", l.Len(), "bytes", l.Bytes(), "duration", took)
	if !known {
		c.retry(func(entry *ruleset) bool { return entry.rejected != nil || entry.besideRejected != nil })
	}
}

// RefuseList tells that a version of a list cannot be used. The one before
// stays in force.
func (c *Catalog) RefuseList(name, version string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	info := c.listInfo[name]
	if info == nil {
		info = &ListStatus{Name: name}
		c.listInfo[name] = info
	}
	if info.Rejected != err.Error() || info.Refused != version { // no second try
		c.metrics.rejections.Inc()
	}
	info.Rejected, info.Refused = err.Error(), version
	c.metrics.lists.rejected.WithLabelValues(name).Set(1)
	c.config.Log.Error("list refused", "list", name, "version", version, "err", err, "in_force", info.Version)
}

// DeleteList takes a list's name away. Rulesets in force keep its entries.
func (c *Catalog) DeleteList(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lists.Delete(name)
	delete(c.listInfo, name)
	c.metrics.lists.forget(name)
	c.config.Log.Info("list deleted", "list", name)
}

// List returns a list in force and its version.
func (c *Catalog) List(name string) (l *list.List, version string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	ref, ok := c.lists.Ref(name)
	if !ok {
		return nil, "", ErrUnknownList
	}
	return ref.Get(), c.listInfo[name].Version, nil
}

// Lists tells of all lists, ordered by name.
func (c *Catalog) Lists() []ListStatus {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := make([]ListStatus, 0, len(c.listInfo))
	for _, name := range slices.Sorted(maps.Keys(c.listInfo)) {
		all = append(all, *c.listInfo[name])
	}
	return all
}

// listMetrics are labelled by the names of lists.
type listMetrics struct {
	entries, bytes, rejected *prometheus.GaugeVec
	load                     prometheus.Histogram
}

func newListMetrics(registerer prometheus.Registerer) listMetrics {
	gauge := func(name, help string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "backlot_rules_list_" + name, Help: help}, []string{"list"})
	}
	m := listMetrics{
		entries:  gauge("entries", "Entries of a list in force."),
		bytes:    gauge("bytes", "Memory of a list in force."),
		rejected: gauge("rejected", "1 while the newest version of a list is not in force."),
		load: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "backlot_rules_list_load_duration_seconds", Help: "Time to load a list.",
			Buckets: prometheus.ExponentialBuckets(1e-4, 4, 10),
		}),
	}
	if registerer != nil {
		registerer.MustRegister(m.entries, m.bytes, m.rejected, m.load)
	}
	return m
}

func (m *listMetrics) set(info *ListStatus) {
	m.entries.WithLabelValues(info.Name).Set(float64(info.Entries))
	m.bytes.WithLabelValues(info.Name).Set(float64(info.Bytes))
	m.rejected.WithLabelValues(info.Name).Set(0)
	m.load.Observe(info.Took.Seconds())
}

func (m *listMetrics) forget(name string) {
	for _, gauge := range []*prometheus.GaugeVec{m.entries, m.bytes, m.rejected} {
		gauge.DeleteLabelValues(name)
	}
}
