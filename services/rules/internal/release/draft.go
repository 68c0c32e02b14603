package release

import (
	"context"
	"errors"
	"slices"

	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	rulesv1 "github.com/backlot-video/backlot/proto/gen/backlot/rules/v1"
)

// Version is a kept version.
type Version struct {
	Name string // with namespace
	Spec *rulesv1.RulesetVersion
}

// Draft keeps a source as a version, which is in force nowhere. Of the known
// versions those go that nothing needs when there are too many.
func (s *Store) Draft(ctx context.Context, ruleset, factType, source, reason string, known []Version) (version string, existed bool, err error) {
	name, spec, err := newVersion(ruleset, factType, source, By{author(ctx), reason, s.clock()})
	if err != nil {
		return "", false, err
	}
	namespace, _ := SplitName(ruleset)
	version = JoinName(namespace, name)
	_, kept, err := s.Version(ctx, version)
	if err == nil && kept == source {
		return version, true, nil
	}
	if err != nil && !errors.Is(err, ErrUnknownVersion) {
		return "", false, err
	}
	changes, err := appendPut(nil, versionKind, version, spec, 0)
	if err != nil {
		return "", false, err
	}
	old, err := s.superfluous(ctx, ruleset, known)
	if err != nil {
		return "", false, err
	}
	for _, name := range old {
		changes = append(changes, &configstorev1.Change{Change: &configstorev1.Change_Delete{Delete: keyOf(versionKind, name)}})
	}
	return version, false, s.apply(ctx, reason, changes)
}

// superfluous are the oldest versions above maxKept that a ruleset does not
// need.
func (s *Store) superfluous(ctx context.Context, ruleset string, known []Version) ([]string, error) {
	if len(known) < maxKept {
		return nil, nil
	}
	spec, _, err := s.Ruleset(ctx, ruleset)
	if err != nil && !errors.Is(err, ErrUnknownRuleset) {
		return nil, err
	}
	needed := append([]string{spec.GetLiveVersion(), spec.GetRollout().GetVersion()}, spec.GetPreviousVersions()...)
	known = slices.Clone(known)
	slices.SortFunc(known, func(a, b Version) int { return int(a.Spec.GetCreatedAt() - b.Spec.GetCreatedAt()) })
	var old []string
	for _, v := range known {
		_, short := SplitName(v.Name)
		if len(known)-len(old) >= maxKept && !slices.Contains(needed, short) {
			old = append(old, v.Name)
		}
	}
	return old, nil
}
