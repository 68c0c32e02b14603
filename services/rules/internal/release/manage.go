package release

import (
	"context"
	"errors"
	"fmt"

	rulesv1 "github.com/backlot-video/backlot/proto/gen/backlot/rules/v1"
	"github.com/backlot-video/backlot/services/rules/internal/catalog"
	"github.com/backlot-video/backlot/services/rules/internal/rollout"
)

// Manager does what operators ask for. A nil Store means that there is no
// configstore. It is safe for concurrent use.
type Manager struct {
	Catalog  *catalog.Catalog
	Follower *Follower
	Store    *Store
	// Refused is told of drafts that are not good.
	Refused func(catalog.Refusal)
}

// Draft is the outcome of CreateVersion.
type Draft struct {
	Checked catalog.Checked
	Version string // empty when the source has faults
	Existed bool
}

// CreateVersion checks a source and keeps it as a version.
func (m *Manager) CreateVersion(ctx context.Context, ruleset, factType, source, reason string) (Draft, error) {
	if m.Store == nil {
		return Draft{}, ErrNoConfigstore
	}
	spec, _, err := m.Store.Ruleset(ctx, ruleset)
	switch {
	case errors.Is(err, ErrUnknownRuleset) && factType == "":
		return Draft{}, fmt.Errorf("%w: fact_type: it is needed for a ruleset that does not exist yet", ErrInvalid)
	case err != nil && !errors.Is(err, ErrUnknownRuleset):
		return Draft{}, err
	case err == nil && factType != "" && factType != spec.GetFactType():
		return Draft{}, fmt.Errorf("%w: fact_type: ruleset %s judges facts of type %s", ErrInvalid, ruleset, spec.GetFactType())
	case err == nil:
		factType = spec.GetFactType()
	}
	var d Draft
	if d.Checked, err = m.Catalog.Check(ruleset, factType, source); err != nil {
		return Draft{}, err
	}
	if problem := faultOf(&d.Checked); problem != nil {
		m.Refused(catalog.Refusal{Ruleset: ruleset, InForce: spec.GetLiveVersion(), Reason: problem.Error()})
		return d, nil
	}
	d.Version, d.Existed, err = m.Store.Draft(ctx, ruleset, factType, source, reason, m.Follower.Versions(ruleset))
	return d, err
}

// faultOf is why a checked source cannot be released.
func faultOf(checked *catalog.Checked) error {
	if len(checked.Errors) > 0 {
		return checked.Errors
	}
	if len(checked.Failed) > 0 {
		first := checked.Failed[0]
		return fmt.Errorf("line %d: test %q: %s", first.Line, first.Name, first.Failure)
	}
	return nil
}

// StartRollout begins to release a version that is good here and now.
func (m *Manager) StartRollout(ctx context.Context, request *rulesv1.StartRolloutRequest) (*rulesv1.Ruleset, error) {
	if m.Store == nil {
		return nil, ErrNoConfigstore
	}
	ruleset := RulesetOf(request.GetVersion())
	version, err := m.good(ctx, request.GetVersion())
	if err != nil {
		return nil, err
	}
	if by := request.GetCanaryBy(); by != "" {
		message, err := m.Catalog.FactMessage(version.GetFactType())
		if err != nil {
			return nil, err
		}
		if _, err := rollout.NewKey(message, by); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
		}
	}
	edit := func(spec *rulesv1.Ruleset, by By) error {
		if spec.GetFactType() != version.GetFactType() {
			return fmt.Errorf("%w: version: it is for facts of type %s, the ruleset for %s", ErrInvalid, version.GetFactType(), spec.GetFactType())
		}
		return start(spec, shortName(request.GetVersion()), request, by)
	}
	spec, err := m.Store.Change(ctx, ruleset, request.GetReason(), edit)
	if errors.Is(err, ErrUnknownRuleset) {
		return m.Store.Create(ctx, ruleset, version.GetFactType(), request.GetReason(), edit)
	}
	return spec, err
}

// good reads a version and checks it once more: lists and fact types may have
// changed since.
func (m *Manager) good(ctx context.Context, name string) (*rulesv1.RulesetVersion, error) {
	version, source, err := m.Store.Version(ctx, name)
	if err != nil {
		return nil, err
	}
	if err := m.Catalog.Verify(name, version.GetFactType(), source); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrBadVersion, name, err)
	}
	return version, nil
}

// Promote goes to the next step of a rollout, or to the given one.
func (m *Manager) Promote(ctx context.Context, ruleset string, step *rulesv1.Step, reason string) (*rulesv1.Ruleset, error) {
	if m.Store == nil {
		return nil, ErrNoConfigstore
	}
	return m.Store.Change(ctx, ruleset, reason, func(spec *rulesv1.Ruleset, by By) error { return promote(spec, step, by) })
}

// Rollback takes a rollout back, or the version in force. What is put in force
// is good here and now.
func (m *Manager) Rollback(ctx context.Context, ruleset, to, reason string) (*rulesv1.Ruleset, error) {
	if m.Store == nil {
		return nil, ErrNoConfigstore
	}
	namespace, _ := SplitName(ruleset)
	return m.Store.Change(ctx, ruleset, reason, func(spec *rulesv1.Ruleset, by By) error {
		before := spec.GetLiveVersion()
		if err := rollback(spec, shortName(to), by); err != nil || spec.GetLiveVersion() == before {
			return err
		}
		version, err := m.good(ctx, JoinName(namespace, spec.GetLiveVersion()))
		if err == nil && (version.GetFactType() != spec.GetFactType() || version.GetRuleset() != shortName(ruleset)) {
			err = fmt.Errorf("%w: to_version: it is no version of %s", ErrInvalid, ruleset)
		}
		return err
	})
}
