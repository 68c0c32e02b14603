package release

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	rulesv1 "github.com/backlot-video/backlot/proto/gen/backlot/rules/v1"
	"github.com/backlot-video/backlot/services/rules/internal/catalog"
	"github.com/backlot-video/backlot/services/rules/internal/rollout"
)

// patience is how long a ruleset may be ahead of its versions, which come by
// another watch.
const patience = 5 * time.Second

var errNotHere = errors.New("it has not arrived at this replica")

// Follower gives a catalog what the objects say. It is safe for concurrent
// use.
type Follower struct {
	catalog *catalog.Catalog
	clock   func() time.Time

	mu       sync.Mutex
	versions map[string]*rulesv1.RulesetVersion
	rulesets map[string]*followed
}

type followed struct {
	spec    *rulesv1.Ruleset
	release string    // the version of a source that spec itself has
	waiting time.Time // for versions, since; zero: it is not
}

// NewFollower returns a follower that has seen nothing.
func NewFollower(c *catalog.Catalog, clock func() time.Time) *Follower {
	return &Follower{
		catalog: c, clock: clock, versions: map[string]*rulesv1.RulesetVersion{}, rulesets: map[string]*followed{},
	}
}

// PutRuleset takes an object up. release names it where it has a source of its
// own. With patient it may wait for versions.
func (f *Follower) PutRuleset(name, release string, spec *rulesv1.Ruleset, patient bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := &followed{spec: spec, release: release}
	f.rulesets[name] = r
	if patient && f.lacks(name, r) {
		r.waiting = f.clock()
		return
	}
	f.give(name, r)
}

// DeleteRuleset takes a ruleset out of force.
func (f *Follower) DeleteRuleset(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.rulesets, name)
	f.catalog.Delete(name)
}

// PutVersion takes a version up, and gives it to those that wait for it.
func (f *Follower) PutVersion(name string, spec *rulesv1.RulesetVersion) {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, known := f.versions[name]
	f.versions[name] = spec
	ruleset := RulesetOf(name)
	if r := f.rulesets[ruleset]; r != nil && !known && slices.Contains(f.needs(ruleset, r), name) && !f.lacks(ruleset, r) {
		f.give(ruleset, r)
	}
}

// DeleteVersion forgets a version.
func (f *Follower) DeleteVersion(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.versions, name)
}

// Settle gives up waiting where it took too long.
func (f *Follower) Settle() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for name, r := range f.rulesets {
		if !r.waiting.IsZero() && f.clock().Sub(r.waiting) > patience {
			f.give(name, r)
		}
	}
}

// Versions are those of a ruleset, newest first.
func (f *Follower) Versions(ruleset string) []Version {
	f.mu.Lock()
	defer f.mu.Unlock()
	var versions []Version
	for name, spec := range f.versions {
		if RulesetOf(name) == ruleset {
			versions = append(versions, Version{name, spec})
		}
	}
	slices.SortFunc(versions, func(a, b Version) int {
		return cmp.Or(cmp.Compare(b.Spec.GetCreatedAt(), a.Spec.GetCreatedAt()), cmp.Compare(a.Name, b.Name))
	})
	return versions
}

// Rulesets are the objects of all rulesets, as they were last seen. They must
// not be changed.
func (f *Follower) Rulesets() map[string]*rulesv1.Ruleset {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := make(map[string]*rulesv1.Ruleset, len(f.rulesets))
	for name, r := range f.rulesets {
		all[name] = r.spec
	}
	return all
}

// needs are the versions that a ruleset is made of.
func (f *Follower) needs(name string, r *followed) []string {
	namespace, _ := SplitName(name)
	var needed []string
	if live := r.spec.GetLiveVersion(); live != "" {
		needed = append(needed, JoinName(namespace, live))
	}
	if other, _ := compared(r.spec); other != "" {
		needed = append(needed, JoinName(namespace, other))
	}
	return needed
}

func (f *Follower) lacks(name string, r *followed) bool {
	return slices.ContainsFunc(f.needs(name, r), func(version string) bool { return f.versions[version] == nil })
}

// give lets the catalog compile a ruleset, which logs, counts and tells what
// it refuses.
func (f *Follower) give(name string, r *followed) {
	r.waiting = time.Time{}
	namespace, _ := SplitName(name)
	spec := r.spec
	wanted := catalog.Ruleset{Name: name, FactType: spec.GetFactType(), Version: r.release, Source: spec.GetSource()}
	if live := spec.GetLiveVersion(); live != "" {
		wanted.Version = live
		wanted.Source, wanted.Fault = f.source(JoinName(namespace, live), spec.GetFactType())
	}
	if other, stage := compared(spec); other != "" {
		beside := &catalog.Beside{Version: other, Plan: planOf(spec.GetRollout(), stage)}
		beside.Source, beside.Fault = f.source(JoinName(namespace, other), spec.GetFactType())
		wanted.Beside = beside
	}
	_ = f.catalog.Put(wanted)
}

func (f *Follower) source(version, factType string) (string, error) {
	spec := f.versions[version]
	if spec == nil {
		return "", fmt.Errorf("version %s: %w", version, errNotHere)
	}
	if spec.GetFactType() != factType {
		return "", fmt.Errorf("version %s is for facts of type %s, its ruleset for %s", version, spec.GetFactType(), factType)
	}
	source, err := Unpack(spec.GetSourceGzip())
	if err == nil && NameOf(RulesetOf(version), factType, source) != shortName(version) {
		err = errors.New("its content is not what its name says")
	}
	if err != nil {
		return "", fmt.Errorf("version %s: %w", version, err)
	}
	return source, nil
}

func shortName(version string) string {
	_, short := SplitName(version)
	return short
}

// compared is the version that judges beside the one in force.
func compared(spec *rulesv1.Ruleset) (version string, stage rollout.Stage) {
	if !isRunning(spec) {
		return "", rollout.None
	}
	switch spec.GetRollout().GetStep().GetStage() {
	case rulesv1.Stage_STAGE_SHADOW:
		return spec.GetRollout().GetVersion(), rollout.Shadow
	case rulesv1.Stage_STAGE_CANARY:
		return spec.GetRollout().GetVersion(), rollout.Canary
	case rulesv1.Stage_STAGE_FULL:
		if previous := spec.GetPreviousVersions(); len(previous) > 0 {
			return previous[0], rollout.Full
		}
	case rulesv1.Stage_STAGE_UNSPECIFIED:
	}
	return "", rollout.None
}

func planOf(r *rulesv1.Rollout, stage rollout.Stage) rollout.Plan {
	b := r.GetBands()
	return rollout.Plan{
		Stage: stage, PPM: r.GetStep().GetCanaryPpm(), By: r.GetCanaryBy(), Labels: r.GetLabels(),
		Began: time.UnixMicro(r.GetStepStartedAt()).UTC(),
		Bands: rollout.Bands{
			MaxErrorPPM: b.GetMaxErrorPpm(), MaxP99: time.Duration(b.GetMaxP99Micros()) * time.Microsecond, MaxP99Percent: b.GetMaxP99Percent(),
			MinDenyPPM: b.GetMinDenyPpm(), MaxDenyPPM: b.GetMaxDenyPpm(), MaxDenyShiftPPM: b.GetMaxDenyShiftPpm(),
			MinSample: b.GetMinSample(), Window: time.Duration(b.GetWindowSeconds()) * time.Second,
		},
	}
}

// Source is that of a version; empty where it is not here.
func (f *Follower) Source(version string) string {
	f.mu.Lock()
	spec := f.versions[version]
	f.mu.Unlock()
	source, _ := Unpack(spec.GetSourceGzip())
	return source
}
