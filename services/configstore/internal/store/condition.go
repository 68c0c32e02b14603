package store

import (
	"context"
	"errors"
	"fmt"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/backlot-video/backlot/services/configstore/internal/engine"
	"github.com/backlot-video/backlot/services/configstore/internal/object"
)

// maxTargets bounds the objects outside of a release that it refers to.
const maxTargets = 2048

// conditions must hold when a release is written, beside that its own objects
// are as they were: what it refers to is there, and nothing has come that
// refers to what it deletes, or has what it claims.
type conditions struct {
	compares []*pb.Compare
	keys     []string // that are compared
	ranges   bool     // whole ranges are compared too
}

// checkState checks a release against what was read, and returns what of that
// must be so still.
func (s *Store) checkState(ctx context.Context, changes []*change, at look) (conditions, error) {
	if err := checkRevisions(changes); err != nil || !linked(changes) {
		return conditions{}, err
	}
	r := referee{
		store: s, at: at, release: make(map[object.Key]*change, len(changes)),
		found: make(map[object.Key]bool), users: make(map[string][]user),
	}
	for _, c := range changes {
		r.release[c.key] = c
	}
	for _, c := range changes {
		var err error
		if c.put != nil {
			err = errors.Join(r.targets(ctx, c), r.claims(ctx, c))
		} else if c.present != nil {
			err = r.referrers(ctx, c)
		}
		if err != nil {
			return conditions{}, err
		}
	}
	if len(r.found) > maxTargets {
		r.faults = append(r.faults, object.Faultf(object.ErrTooLarge, "changes", "refer to %d other objects, at most %d", len(r.found), maxTargets))
	}
	return r.conditions, r.faults.Err()
}

// referee makes sure that after a release every reference of what it puts
// leads somewhere and nothing refers to what it deletes. It reads at the
// revision that the rest of the release was read at.
type referee struct {
	store      *Store
	at         look
	release    map[object.Key]*change
	found      map[object.Key]bool // targets outside of the release, and whether they exist
	users      map[string][]user   // by prefix
	conditions conditions
	claimed    []user // by puts of the release so far
	faults     object.Faults
}

// user is an object that refers to others, or claims something for itself.
type user struct {
	key     object.Key
	targets []object.Target
	claim   object.Claim // zero: none, which meets no other
}

func (r *referee) addf(path, format string, args ...any) {
	r.faults = append(r.faults, object.Faultf(object.ErrReference, path, format, args...))
}

func (r *referee) targets(ctx context.Context, c *change) error {
	for _, target := range object.Targets(c.key, c.message) {
		field := c.path + ".spec." + target.Field
		if other, changed := r.release[target.Key]; changed {
			if other.put == nil {
				r.addf(field, "%s is deleted by this release", target.Key)
			}
			continue
		}
		exists, err := r.exists(ctx, target.Key)
		if err != nil {
			return err
		}
		if !exists {
			r.addf(field, "%s does not exist", target.Key)
		}
	}
	return nil
}

func (r *referee) exists(ctx context.Context, key object.Key) (bool, error) {
	exists, looked := r.found[key]
	if looked {
		return exists, nil
	}
	path := key.Path()
	response, err := r.store.engine.Range(ctx, &pb.RangeRequest{
		Key: []byte(path), Revision: r.at.revision, CountOnly: true, Serializable: true,
	})
	if err != nil {
		return false, fmt.Errorf("look for %s: %w", key, err)
	}
	exists = response.GetCount() > 0
	r.found[key] = exists
	r.conditions.keys = append(r.conditions.keys, path)
	r.conditions.compares = append(r.conditions.compares, existing(path))
	return exists, nil
}

func (r *referee) referrers(ctx context.Context, c *change) error {
	for _, kind := range object.Referrers(c.key.Kind) {
		users, err := r.usersOf(ctx, kind, object.Prefix(c.key.Tenant, kind, c.key.Namespace))
		if err != nil {
			return fmt.Errorf("look for users of %s: %w", c.key, err)
		}
		for _, user := range users {
			if _, changed := r.release[user.key]; changed {
				continue // a put is checked for itself
			}
			for _, target := range user.targets {
				if target.Key == c.key {
					r.addf(c.path, "%s is used by %s", c.key, user.key)
				}
			}
		}
	}
	return nil
}

// usersOf reads the objects of a prefix, once.
func (r *referee) usersOf(ctx context.Context, kind, prefix string) ([]user, error) {
	if users, known := r.users[prefix]; known {
		return users, nil
	}
	request := rangePrefix(prefix)
	request.Revision, request.Serializable = r.at.revision, true
	response, err := r.store.engine.Range(ctx, request)
	if err != nil {
		return nil, err
	}
	users := make([]user, 0, len(response.GetKvs()))
	for _, kv := range response.GetKvs() {
		o, err := r.store.entry(kv)
		if err != nil {
			return nil, err
		}
		key, err := object.ParsePath(string(kv.GetKey()))
		if err != nil {
			return nil, err
		}
		if message, _ := r.store.kinds.Check(kind, o.GetSpec(), ""); message != nil {
			claim, _ := object.ClaimOf(message)
			users = append(users, user{key, object.Targets(key, message), claim})
		}
	}
	r.users[prefix] = users
	r.conditions.ranges = true
	r.conditions.compares = append(r.conditions.compares, noneAfter(prefix, r.at.revision))
	return users, nil
}

// existing is the condition that a key exists.
func existing(path string) *pb.Compare {
	return &pb.Compare{
		Key: []byte(path), Result: pb.Compare_GREATER, Target: pb.Compare_CREATE,
		TargetUnion: &pb.Compare_CreateRevision{},
	}
}

// noneAfter is the condition that no key of a prefix has come or changed after
// a revision; what has gone does not count.
func noneAfter(prefix string, revision int64) *pb.Compare {
	return &pb.Compare{
		Key: []byte(prefix), RangeEnd: engine.PrefixEnd(prefix), Result: pb.Compare_LESS, Target: pb.Compare_MOD,
		TargetUnion: &pb.Compare_ModRevision{ModRevision: revision + 1},
	}
}
