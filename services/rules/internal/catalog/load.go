package catalog

import (
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/backlot-video/backlot/services/rules"
	"github.com/backlot-video/backlot/services/rules/internal/rollout"
)

// retry loads the rulesets again for which it may end otherwise.
func (c *Catalog) retry(affected func(*ruleset) bool) {
	for _, name := range slices.Sorted(maps.Keys(c.rulesets)) {
		if entry := c.rulesets[name]; affected(entry) {
			c.load(entry, true)
		}
	}
	c.publish()
}

// load brings a ruleset to what is wanted of it, or falls back. Programs of
// the same version are used again unless anew is true.
func (c *Catalog) load(entry *ruleset, anew bool) {
	log := c.config.Log.With("ruleset", entry.wanted.Name, "version", entry.wanted.Version)
	made, err := c.program(entry, c.restored(entry.wanted), anew)
	if entry.rejected = err; err != nil {
		c.metrics.rejections.Inc()
		log.Error("ruleset refused", "err", err, "in_force", entry.inForce.Version)
		entry.beside, entry.inForce.Beside = nil, nil // a rollout compares with what is wanted
		if entry.program == nil {
			c.fallBack(entry, log)
		}
		c.refused(entry, entry.wanted.Version, err)
		return
	}
	before := entry.judge
	swapped := made.program != before.program
	entry.inForce = c.restored(entry.wanted)
	entry.judge = c.withBeside(entry, made, anew)
	entry.seen = made.sample.seen.Load()
	if swapped {
		log.Info("ruleset compiled", "fact_type", entry.wanted.FactType, "rules", len(made.program.Rules()))
	}
	entry.unsaved = true
	c.mended(entry)
}

// save keeps on disk what has just taken force.
func (c *Catalog) save() {
	for name, entry := range c.rulesets {
		if !entry.unsaved {
			continue
		}
		entry.unsaved = false
		if err := c.saveGood(entry.inForce); err != nil {
			c.config.Log.Error("last good ruleset cannot be saved", "ruleset", name, "err", err)
		}
	}
}

// fallBack takes what was last in force on this replica.
func (c *Catalog) fallBack(entry *ruleset, log *slog.Logger) {
	good, found, err := c.loadGood(entry.wanted.Name)
	var made judge
	if err == nil && found {
		made, err = c.program(entry, good, true)
	}
	switch {
	case err != nil:
		log.Error("last good ruleset cannot be used", "err", err)
	case found:
		wanted := entry.wanted.Beside
		if good.Beside != nil && (wanted == nil || wanted.Version != good.Beside.Version || !wanted.Plan.Began.Equal(good.Beside.Plan.Began)) {
			good.Beside = nil // that rollout has ended
		}
		entry.inForce = good
		entry.judge = c.withBeside(entry, made, true)
		log.Warn("last good ruleset is used", "in_force", good.Version)
	}
}

// restored takes sources that are not at hand from the disk, where they are
// there in just the version that is wanted.
func (c *Catalog) restored(r Ruleset) Ruleset {
	if r.Fault == nil && (r.Beside == nil || r.Beside.Fault == nil) {
		return r
	}
	good, found, err := c.loadGood(r.Name)
	if err != nil || !found {
		return r
	}
	find := func(version string) (source string, found bool) {
		if good.Version == version {
			return good.Source, true
		}
		if good.Beside != nil && good.Beside.Version == version {
			return good.Beside.Source, true
		}
		return "", false
	}
	if source, found := find(r.Version); r.Fault != nil && found {
		r.Source, r.FactType, r.Fault = source, good.FactType, nil
	}
	if r.Beside != nil && r.Beside.Fault != nil {
		if source, found := find(r.Beside.Version); found {
			r.Beside = &Beside{Version: r.Beside.Version, Source: source, Plan: r.Beside.Plan}
		}
	}
	return r
}

// program returns the program of a version: one that is there already, or a
// new one.
func (c *Catalog) program(entry *ruleset, r Ruleset, anew bool) (judge, error) {
	if r.Fault != nil {
		return judge{}, r.Fault
	}
	if known := c.types[r.FactType]; known != nil && !anew && entry.inForce.FactType == r.FactType && entry.revision == known.revision {
		switch {
		case entry.program != nil && entry.inForce.Version == r.Version && entry.inForce.Source == r.Source:
			return judge{program: entry.program, revision: entry.revision, sample: known.sample}, nil
		case entry.beside != nil && entry.inForce.Beside.Version == r.Version && entry.inForce.Beside.Source == r.Source:
			return judge{program: entry.beside.program, revision: entry.revision, sample: known.sample}, nil
		}
	}
	start := time.Now()
	defer func() { c.metrics.compile.Observe(time.Since(start).Seconds()) }()
	if anew {
		return c.compile(r, nil)
	}
	return c.compile(r, entry.program)
}

// withBeside puts the version that a rollout compares beside a program; entry
// still has what was there before.
func (c *Catalog) withBeside(entry *ruleset, made judge, anew bool) judge {
	entry.besideRejected = nil
	wanted := entry.inForce.Beside
	if wanted == nil {
		return made
	}
	b, err := c.newBeside(entry, made, wanted, anew)
	if err != nil {
		entry.besideRejected = fmt.Errorf("version %s of the rollout: %w", wanted.Version, err)
		entry.inForce.Beside = nil
		c.metrics.rejections.Inc()
		c.config.Log.Error("version beside refused", "ruleset", entry.wanted.Name, "version", wanted.Version, "err", err)
		c.refused(entry, wanted.Version, err)
		return made
	}
	made.beside = b
	return made
}

func (c *Catalog) newBeside(entry *ruleset, made judge, wanted *Beside, anew bool) (*beside, error) {
	if wanted.Fault != nil {
		return nil, wanted.Fault
	}
	name := entry.inForce.Name
	program := entry.reusable(name, wanted, made, anew)
	if program == nil {
		other, err := c.compile(Ruleset{Name: name, FactType: entry.inForce.FactType, Version: wanted.Version, Source: wanted.Source}, made.program)
		if err != nil {
			return nil, err
		}
		program = other.program
	}
	b := &beside{
		ruleset: name, program: program, plan: wanted.Plan, labels: c.config.Labels, ids: c.ids, clock: c.config.Clock,
	}
	b.spare.New = func() any { return new(spare) }
	if by := wanted.Plan.By; by != "" {
		key, err := rollout.NewKey(program.Schema().Descriptor(), by)
		if err != nil {
			return nil, err
		}
		b.key = key
	}
	if former := entry.beside; former != nil && former.program.Version() == wanted.Version && former.plan.Began.Equal(wanted.Plan.Began) {
		b.tracker = former.tracker
	} else {
		b.tracker = rollout.NewTracker(wanted.Plan.Bands, c.config.Clock())
	}
	return b, nil
}

// reusable is a program of the version beside that is there already.
func (r *ruleset) reusable(name string, wanted *Beside, made judge, anew bool) *rules.Program {
	if anew || r.revision != made.revision {
		return nil
	}
	candidates := []*rules.Program{r.program}
	if r.beside != nil {
		candidates = append(candidates, r.beside.program)
	}
	for _, p := range candidates {
		if p != nil && p.Name() == name && p.Version() == wanted.Version && p.Schema().Name() == made.program.Schema().Name() {
			return p
		}
	}
	return nil
}

// refused raises the alarm.
func (c *Catalog) refused(entry *ruleset, version string, err error) {
	entry.refused = true
	if c.config.Refused != nil {
		c.config.Refused(Refusal{Ruleset: entry.wanted.Name, Version: version, InForce: entry.inForce.Version, Reason: err.Error()})
	}
}

// mended tells that what was refused is in force now.
func (c *Catalog) mended(entry *ruleset) {
	if !entry.refused || entry.besideRejected != nil {
		return
	}
	entry.refused = false
	if c.config.Mended != nil {
		c.config.Mended(entry.wanted.Name)
	}
}

// compile compiles a ruleset and runs its tests. Where it differs in few rules
// from a program of the same ruleset, only those are compiled; base may be nil.
func (c *Catalog) compile(r Ruleset, base *rules.Program) (judge, error) {
	known, err := c.factType(r.FactType)
	if err != nil {
		return judge{}, err
	}
	var program *rules.Program
	if base != nil && base.Name() == r.Name && base.Schema() == known.schema {
		program, err = base.Edit(r.Source, r.Version)
	} else {
		program, err = rules.Compile(r.Name, r.Source, known.schema, &rules.Options{
			Version: r.Version, Lists: &c.lists, Rates: &c.rates, Counters: c.counters, Scope: r.Name, Sample: known.sample.learned(known.schema),
			Budget: c.config.Budget,
		})
	}
	if err != nil {
		return judge{}, err
	}
	return judge{program: program, revision: known.revision, sample: known.sample}, failures(program)
}

// Resample compiles programs again, of the same versions, for which at least
// that many facts were judged since they were compiled: from the newest facts
// the compiler learns anew which tests are worth an index.
func (c *Catalog) Resample(facts uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.retry(func(entry *ruleset) bool {
		return entry.rejected == nil && entry.program != nil && entry.sample.seen.Load() >= entry.seen+facts
	})
}
