// Package catalog holds the rulesets in force and swaps them.
//
//	catalog.go   takes rulesets, tells what became of them
//	load.go      compiles them, or falls back
//	beside.go    a second version that judges the same facts during a rollout
//	rollout.go   moves rollouts on in time, tells what was seen of them
//	list.go      lists
//	rate.go      exchange rates
//	facttype.go  fact types
//	judge.go     answers
//	sample.go    recent facts, from which compilers learn
//	good.go      the last good version of each ruleset on disk
//	metrics.go   counts
//
// A ruleset takes force only when it compiles and passes its own tests; a bad
// one never replaces a good one. Swapping is one atomic store: an evaluation
// sees one whole version, and one whole rollout. The catalog knows neither RPC
// nor the configstore.
package catalog

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/backlot-video/backlot/services/rules/list"
	"github.com/backlot-video/backlot/services/rules/rate"
	"github.com/backlot-video/backlot/services/rules/velocity"
)

// Ruleset is a ruleset as someone released it.
type Ruleset struct {
	Name     string `json:"name"`
	FactType string `json:"fact_type"`
	Version  string `json:"version"`
	Source   string `json:"source"`
	// Beside is what a rollout compares with this version; nil: none runs.
	Beside *Beside `json:"beside,omitempty"`
	// Fault tells that Source is not at hand.
	Fault error `json:"-"`
}

// Status tells what became of a ruleset.
type Status struct {
	Name     string
	FactType string
	Version  string // in force; empty when none is
	Rules    int
	Rejected string // why the newest version is not in force; empty when it is
}

// Config has what a catalog needs. Only Log and Registerer may be nil.
type Config struct {
	Log        *slog.Logger
	Registerer prometheus.Registerer
	Clock      func() time.Time
	// Dir keeps the last good versions.
	Dir string
	// Counters of velocity; default a store of its own.
	Counters velocity.Counters
	// Labels of this replica, by which canaries may choose it.
	Labels map[string]string
	// Budget bounds what judging one fact by a ruleset may cost, as
	// rules.Options says; default rules.DefaultBudget.
	Budget int64
	// Refused is told of versions that cannot be used; it must not block.
	Refused func(Refusal)
	// Mended is told of rulesets that are in force as they are wanted, after
	// a version was refused; it must not block. May be nil.
	Mended func(ruleset string)
}

// Refusal is a version that cannot be used.
type Refusal struct {
	Ruleset, Version string
	InForce          string // instead of it; empty: none
	Reason           string
}

// Catalog is safe for concurrent use.
type Catalog struct {
	config   Config
	metrics  *metrics
	counters velocity.Counters
	lists    list.Registry
	rates    rate.Ref
	ids      *eventIDs
	inForce  atomic.Pointer[map[string]judge] // by fact type

	mu       sync.Mutex
	types    map[string]*factType
	rulesets map[string]*ruleset
	listInfo map[string]*ListStatus // by name
}

// ruleset is the newest version of one name and the program in force.
type ruleset struct {
	wanted   Ruleset
	judge            // program is nil when no version could be used
	inForce  Ruleset // what program was compiled of; Beside is what is beside it
	rejected error
	// besideRejected tells why the version beside is not used.
	besideRejected error
	refused        bool   // since it was last in force as it is wanted
	seen           uint64 // facts of the sample when program was compiled
	unsaved        bool   // inForce is not on disk yet
}

// New returns a catalog without rulesets that knows no fact type.
func New(config Config) *Catalog {
	if config.Log == nil {
		config.Log = slog.New(slog.DiscardHandler)
	}
	c := &Catalog{
		config:   config,
		counters: config.Counters,
		types:    map[string]*factType{},
		rulesets: map[string]*ruleset{},
		listInfo: map[string]*ListStatus{},
		ids:      newEventIDs(),
	}
	if c.counters == nil {
		c.counters = velocity.New(velocity.Config{Clock: config.Clock})
	}
	c.inForce.Store(&map[string]judge{})
	c.metrics = newMetrics(config.Registerer)
	if config.Registerer != nil {
		config.Registerer.MustRegister(rolloutCollector{c})
	}
	return c
}

// Put takes a new version of a ruleset. The error tells why it was refused;
// then the version before stays in force.
func (c *Catalog) Put(r Ruleset) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	entry := c.rulesets[r.Name]
	if entry == nil {
		entry = &ruleset{}
		c.rulesets[r.Name] = entry
	}
	entry.wanted = r
	c.load(entry, false)
	c.publish()
	return errors.Join(entry.rejected, entry.besideRejected)
}

// Delete takes a ruleset out of force.
func (c *Catalog) Delete(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.rulesets, name)
	c.metrics.forget(name)
	if err := c.forgetGood(name); err != nil {
		c.config.Log.Error("last good ruleset cannot be deleted", "ruleset", name, "err", err)
	}
	c.config.Log.Info("ruleset deleted", "ruleset", name)
	c.publish()
}

// publish puts the programs in force: of several for one fact type, that of
// the first name.
func (c *Catalog) publish() {
	byType := map[string]judge{}
	for _, name := range slices.Sorted(maps.Keys(c.rulesets)) {
		entry := c.rulesets[name]
		if entry.program == nil {
			continue
		}
		if _, taken := byType[entry.inForce.FactType]; !taken {
			byType[entry.inForce.FactType] = entry.judge
		}
	}
	c.inForce.Store(&byType)
	c.metrics.inForce.Set(float64(len(byType)))
	for _, status := range c.status() {
		c.metrics.setRejected(status.Name, status.Rejected != "")
	}
	c.save() // after the swap, which does not wait for the disk
}

// Status tells of all rulesets, ordered by name.
func (c *Catalog) Status() []Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.status()
}

func (c *Catalog) status() []Status {
	byType := *c.inForce.Load()
	var all []Status
	for _, name := range slices.Sorted(maps.Keys(c.rulesets)) {
		entry := c.rulesets[name]
		s := Status{Name: name, FactType: entry.wanted.FactType}
		if err := errors.Join(entry.rejected, entry.besideRejected); err != nil {
			s.Rejected = strings.TrimSpace(err.Error())
		}
		switch judge := byType[entry.inForce.FactType].program; {
		case entry.program == nil:
		case judge == entry.program:
			s.FactType, s.Version, s.Rules = entry.inForce.FactType, entry.inForce.Version, len(judge.Rules())
		case s.Rejected == "":
			s.Rejected = fmt.Sprintf("facts of type %s are judged by ruleset %s", s.FactType, judge.Name())
		}
		all = append(all, s)
	}
	return all
}
