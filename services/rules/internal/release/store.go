package release

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/backlot-video/backlot/kit/identity"
	"github.com/backlot-video/backlot/kit/rpc"
	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	rulesv1 "github.com/backlot-video/backlot/proto/gen/backlot/rules/v1"
)

const (
	rulesetKind = "Ruleset"
	versionKind = "RulesetVersion"

	maxTries = 4 // of a change that others get in the way of
)

// Store is the objects of releases. It is safe for concurrent use.
type Store struct {
	client configstorev1.ConfigServiceServer
	clock  func() time.Time
}

// NewStore returns the objects in a configstore.
func NewStore(client configstorev1.ConfigServiceServer, clock func() time.Time) *Store {
	return &Store{client, clock}
}

// Ruleset reads a ruleset and the revision of its object.
func (s *Store) Ruleset(ctx context.Context, name string) (*rulesv1.Ruleset, int64, error) {
	spec := new(rulesv1.Ruleset)
	revision, err := s.get(ctx, rulesetKind, name, spec)
	if connect.CodeOf(err) == connect.CodeNotFound {
		return nil, 0, fmt.Errorf("%w %q", ErrUnknownRuleset, name)
	}
	return spec, revision, err
}

// Version reads a version and its source.
func (s *Store) Version(ctx context.Context, name string) (spec *rulesv1.RulesetVersion, source string, err error) {
	spec = new(rulesv1.RulesetVersion)
	_, err = s.get(ctx, versionKind, name, spec)
	if connect.CodeOf(err) == connect.CodeNotFound {
		return nil, "", fmt.Errorf("%w %q", ErrUnknownVersion, name)
	}
	if err != nil {
		return nil, "", err
	}
	source, err = Unpack(spec.GetSourceGzip())
	return spec, source, err
}

func (s *Store) get(ctx context.Context, kind, name string, spec proto.Message) (revision int64, err error) {
	response, err := s.client.Get(rpc.AsCaller(caller(ctx)), &configstorev1.GetRequest{Key: keyOf(kind, name)})
	if err != nil {
		return 0, err
	}
	object := response.GetObject()
	if err := proto.Unmarshal(object.GetSpec().GetValue(), spec); err != nil {
		return 0, fmt.Errorf("%s %s: %w", kind, name, err)
	}
	return object.GetRevision(), nil
}

// Change reads a ruleset, edits it and writes it as one release, together
// with a version of a source that the ruleset held itself. Where somebody else
// was quicker it begins anew.
func (s *Store) Change(ctx context.Context, name, reason string, edit func(*rulesv1.Ruleset, By) error) (*rulesv1.Ruleset, error) {
	for range maxTries {
		spec, revision, err := s.Ruleset(ctx, name)
		if err != nil {
			return nil, err
		}
		if err := s.write(ctx, name, reason, spec, revision, edit); !errors.Is(err, ErrConflict) {
			return spec, err
		}
	}
	return nil, ErrConflict
}

// Create is Change of a ruleset that does not exist.
func (s *Store) Create(ctx context.Context, name, factType, reason string, edit func(*rulesv1.Ruleset, By) error) (*rulesv1.Ruleset, error) {
	spec := &rulesv1.Ruleset{FactType: factType}
	return spec, s.write(ctx, name, reason, spec, -1, edit)
}

func (s *Store) write(
	ctx context.Context, name, reason string, spec *rulesv1.Ruleset, revision int64, edit func(*rulesv1.Ruleset, By) error,
) error {
	by := By{Author: author(ctx), Reason: reason, Now: s.clock()}
	adopted, version, err := adopt(name, spec, by)
	if err != nil {
		return err
	}
	if err := edit(spec, by); err != nil {
		return err
	}
	var changes []*configstorev1.Change
	if version != nil {
		namespace, _ := SplitName(name)
		if changes, err = appendPut(changes, versionKind, JoinName(namespace, adopted), version, 0); err != nil {
			return err
		}
	}
	if changes, err = appendPut(changes, rulesetKind, name, spec, revision); err != nil {
		return err
	}
	return s.apply(ctx, reason, changes)
}

func (s *Store) apply(ctx context.Context, reason string, changes []*configstorev1.Change) error {
	_, err := s.client.Apply(rpc.AsCaller(caller(ctx)), &configstorev1.ApplyRequest{Changes: changes, Reason: reason})
	switch connect.CodeOf(err) {
	case connect.CodeAborted, connect.CodeAlreadyExists:
		return fmt.Errorf("%w: %w", ErrConflict, err)
	default:
		return err
	}
}

func appendPut(changes []*configstorev1.Change, kind, name string, spec proto.Message, revision int64) ([]*configstorev1.Change, error) {
	wrapped, err := anypb.New(spec)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", kind, name, err)
	}
	return append(changes, &configstorev1.Change{
		ExpectedRevision: revision,
		Change:           &configstorev1.Change_Put{Put: &configstorev1.Object{Key: keyOf(kind, name), Spec: wrapped}},
	}), nil
}

func keyOf(kind, name string) *configstorev1.Key {
	namespace, short := SplitName(name)
	return &configstorev1.Key{Kind: kind, Namespace: namespace, Name: short}
}

// self is who acts where nobody called.
var self = identity.Principal{Kind: identity.Service, ID: "rules", TenantID: identity.DefaultTenant}

// caller is a context that has a principal: the caller or, where nobody
// called, this service.
func caller(ctx context.Context) context.Context {
	if p, found := identity.From(ctx); found && p.Kind != identity.Anonymous {
		return ctx
	}
	return identity.With(ctx, self)
}

// author is `operator/<id>`.
func author(ctx context.Context) string {
	p, _ := identity.From(caller(ctx))
	return strings.ToLower(strings.TrimPrefix(p.Kind.String(), "PRINCIPAL_")) + "/" + p.ID
}
