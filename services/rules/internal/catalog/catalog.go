// Package catalog holds the rulesets in force and swaps them: catalog.go takes
// rulesets, list.go lists, rate.go exchange rates, facttype.go fact types, judge.go answers, good.go keeps
// the last good version of each ruleset on disk, metrics.go counts.
//
// A ruleset takes force only when it compiles and passes its own tests; a bad
// one never replaces a good one. Swapping is one atomic store: an evaluation
// sees one whole version. The catalog knows neither RPC nor the configstore.
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

	"github.com/backlot-video/backlot/services/rules"
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
}

// Catalog is safe for concurrent use.
type Catalog struct {
	config   Config
	metrics  *metrics
	counters velocity.Counters
	lists    list.Registry
	rates    rate.Ref
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
	inForce  Ruleset // what program was compiled of
	rejected error
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
	}
	if c.counters == nil {
		c.counters = velocity.New(velocity.Config{Clock: config.Clock})
	}
	c.inForce.Store(&map[string]judge{})
	c.metrics = newMetrics(config.Registerer)
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
	c.load(entry)
	c.publish()
	return entry.rejected
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

// retry loads the rulesets again for which it may end otherwise.
func (c *Catalog) retry(affected func(*ruleset) bool) {
	for _, name := range slices.Sorted(maps.Keys(c.rulesets)) {
		if entry := c.rulesets[name]; affected(entry) {
			c.load(entry)
		}
	}
	c.publish()
}

// load compiles the newest version of a ruleset, or falls back.
func (c *Catalog) load(entry *ruleset) {
	start := time.Now()
	judge, err := c.compile(entry.wanted)
	c.metrics.compile.Observe(time.Since(start).Seconds())
	entry.rejected = err
	log := c.config.Log.With("ruleset", entry.wanted.Name, "version", entry.wanted.Version)
	if err == nil {
		entry.judge, entry.inForce = judge, entry.wanted
		log.Info("ruleset compiled", "fact_type", entry.wanted.FactType, "rules", len(judge.program.Rules()))
		if err := c.saveGood(entry.wanted); err != nil {
			log.Error("last good ruleset cannot be saved", "err", err)
		}
		return
	}
	c.metrics.rejections.Inc()
	log.Error("ruleset refused", "err", err, "in_force", entry.inForce.Version)
	if entry.program != nil {
		return
	}
	good, found, err := c.loadGood(entry.wanted.Name)
	if err == nil && found {
		judge, err = c.compile(good)
	}
	switch {
	case err != nil:
		log.Error("last good ruleset cannot be used", "err", err)
	case found:
		entry.judge, entry.inForce = judge, good
		log.Warn("last good ruleset is used", "in_force", good.Version)
	}
}

// compile compiles a ruleset and runs its tests.
func (c *Catalog) compile(r Ruleset) (judge, error) {
	known, err := c.factType(r.FactType)
	if err != nil {
		return judge{}, err
	}
	program, err := rules.Compile(r.Name, r.Source, known.schema, &rules.Options{
		Version: r.Version, Lists: &c.lists, Rates: &c.rates, Counters: c.counters, Scope: r.Name,
	})
	if err != nil {
		return judge{}, err
	}
	var failures []error
	for _, result := range program.Test() {
		if result.Failure != "" {
			failures = append(failures, fmt.Errorf("%s:%d: test %q: %s", r.Name, result.Line, result.Name, result.Failure))
		}
	}
	return judge{program, known.revision}, errors.Join(failures...)
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
		if entry.rejected != nil {
			s.Rejected = strings.TrimSpace(entry.rejected.Error())
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
