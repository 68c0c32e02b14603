package api

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"github.com/backlot-video/backlot/kit/identity"
	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	"github.com/backlot-video/backlot/services/configstore/internal/access"
	"github.com/backlot-video/backlot/services/configstore/internal/object"
	"github.com/backlot-video/backlot/services/configstore/internal/store"
)

// errForbidden means that no grant allows it.
var errForbidden = errors.New("no grant allows it")

// gate asks the grants of the caller's tenant. They are read for each call of
// an operator; services pass unasked.
type gate struct{ store *store.Store }

// operator is the caller, where grants bind it.
func operator(ctx context.Context) (identity.Principal, bool) {
	p, found := identity.From(ctx)
	return p, found && p.Kind == identity.Operator
}

func (g gate) grants(ctx context.Context) (access.Grants, error) {
	objects, _, err := g.store.List(ctx, tenant(ctx), access.Kind, "")
	if err != nil {
		return nil, err
	}
	grants := make(access.Grants, len(objects))
	for n, o := range objects {
		grants[n] = new(configstorev1.Grant)
		if err := proto.Unmarshal(o.GetSpec().GetValue(), grants[n]); err != nil {
			return nil, fmt.Errorf("grant %s: %w", o.GetKey().GetName(), err)
		}
	}
	return grants, nil
}

// wanted is something that is to be done with an object.
type wanted struct {
	path string // field of the request
	key  object.Key
}

// check returns an error that names each object that no grant lets the caller
// do this with.
func (g gate) check(ctx context.Context, verb access.Verb, all ...wanted) error {
	p, bound := operator(ctx)
	if !bound {
		return nil
	}
	grants, err := g.grants(ctx)
	if err != nil {
		return err
	}
	var faults object.Faults
	for _, one := range all {
		if !grants.May(p, verb, one.key) {
			faults = append(faults, object.Faultf(errForbidden, one.path, "operator/%s may not %s %s: no grant allows it", p.ID, word(verb), one.key))
		}
	}
	return faults.Err()
}

// word is a verb as people say it.
func word(verb access.Verb) string {
	return [...]string{"", "read", "write", "draft", "review", "look after members, as of"}[verb]
}

func wantedKeys(ctx context.Context, path string, keys []*configstorev1.Key) []wanted {
	all := make([]wanted, len(keys))
	for n, key := range keys {
		all[n] = wanted{fmt.Sprintf("%s[%d]", path, n), keyOf(ctx, key)}
	}
	return all
}

func wantedChanges(ctx context.Context, changes []*configstorev1.Change) []wanted {
	all := make([]wanted, len(changes))
	for n, change := range changes {
		path, key := fmt.Sprintf("changes[%d].delete", n), change.GetDelete()
		if put := change.GetPut(); put != nil {
			path, key = fmt.Sprintf("changes[%d].put", n), put.GetKey()
		}
		all[n] = wanted{path, keyOf(ctx, key)}
	}
	return all
}

// changes checks a release to be, and that it does not lock its author out.
func (g gate) changes(ctx context.Context, verb access.Verb, changes []*configstorev1.Change) error {
	p, bound := operator(ctx)
	if !bound {
		return nil
	}
	if err := g.check(ctx, verb, wantedChanges(ctx, changes)...); err != nil {
		return err
	}
	touches := slices.ContainsFunc(wantedChanges(ctx, changes), func(w wanted) bool { return w.key.Kind == access.Kind })
	if !touches || verb != access.Write {
		return nil
	}
	after, err := g.after(ctx, changes)
	if err != nil {
		return err
	}
	if after.LocksOut(p, tenant(ctx)) {
		return connect.NewError(connect.CodeFailedPrecondition, fmt.Errorf(
			"changes: operator/%s could not change grants any more; grant it write of kind %s first, or have another do this", p.ID, access.Kind))
	}
	return nil
}

// after is the grants as they are once a release is written.
func (g gate) after(ctx context.Context, changes []*configstorev1.Change) (access.Grants, error) {
	objects, _, err := g.store.List(ctx, tenant(ctx), access.Kind, "")
	if err != nil {
		return nil, err
	}
	specs := map[object.Key][]byte{}
	for _, o := range objects {
		specs[keyOf(ctx, o.GetKey()).Normal()] = o.GetSpec().GetValue()
	}
	for _, change := range changes {
		if put := change.GetPut(); put.GetKey().GetKind() == access.Kind {
			specs[keyOf(ctx, put.GetKey()).Normal()] = put.GetSpec().GetValue()
		}
		delete(specs, keyOf(ctx, change.GetDelete()).Normal())
	}
	grants := make(access.Grants, 0, len(specs))
	for _, spec := range specs {
		grant := new(configstorev1.Grant)
		if err := proto.Unmarshal(spec, grant); err != nil {
			continue // Apply will say what is wrong with it
		}
		grants = append(grants, grant)
	}
	return grants, nil
}

// readable leaves what the caller may read.
func readable[T any](ctx context.Context, g gate, all []T, key func(T) *configstorev1.Key) ([]T, error) {
	p, bound := operator(ctx)
	if !bound || len(all) == 0 {
		return all, nil
	}
	grants, err := g.grants(ctx)
	if err != nil || len(grants) == 0 {
		return all, err
	}
	left := make([]T, 0, len(all))
	for _, one := range all {
		if grants.May(p, access.Read, keyOf(ctx, key(one))) {
			left = append(left, one)
		}
	}
	return left, nil
}
