package store

import (
	"context"
	"errors"
	"fmt"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"go.etcd.io/etcd/server/v3/storage/mvcc"

	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	"github.com/backlot-video/backlot/services/configstore/internal/object"
)

// GetAt reads an object as it was at a revision.
func (s *Store) GetAt(ctx context.Context, key object.Key, revision int64) (*configstorev1.Object, error) {
	if err := s.knownKind(key.Kind, "key.kind"); err != nil {
		return nil, err
	}
	found, err := s.at(ctx, key, revision)
	if err == nil && found == nil {
		err = fmt.Errorf("%s at revision %d: %w", key, revision, ErrNotFound)
	}
	return found, err
}

// at is an object at a revision, nil where it did not exist.
func (s *Store) at(ctx context.Context, key object.Key, revision int64) (*configstorev1.Object, error) {
	response, err := s.engine.Range(ctx, &pb.RangeRequest{Key: []byte(key.Path()), Revision: revision})
	switch {
	case isGone(err):
		return nil, fmt.Errorf("%s at revision %d: %w", key, revision, ErrCompacted)
	case err != nil:
		return nil, fmt.Errorf("get %s at revision %d: %w", key, revision, err)
	case len(response.GetKvs()) == 0:
		return nil, nil
	}
	return s.sealer.decode(response.GetKvs()[0])
}

func isGone(err error) bool {
	return errors.Is(err, mvcc.ErrCompacted) || errors.Is(err, mvcc.ErrFutureRev) ||
		errors.Is(err, rpctypes.ErrGRPCCompacted) || errors.Is(err, rpctypes.ErrGRPCFutureRev)
}

// scanned bounds the releases that are looked at for the history of an object.
const scanned = 20_000

// History is what an object was, newest first. truncated tells that older
// versions are no longer kept, or were not looked for.
func (s *Store) History(ctx context.Context, key object.Key, limit int) (versions []*configstorev1.Version, truncated bool, err error) {
	if err := s.knownKind(key.Kind, "key.kind"); err != nil {
		return nil, false, err
	}
	before := ""
	for looked := 0; looked < scanned; {
		releases, more, err := s.Releases(ctx, key.Tenant, before, 500)
		if err != nil {
			return nil, false, err
		}
		for _, release := range releases {
			looked++
			before = release.GetId()
			if !touches(release, key) {
				continue
			}
			if len(versions) == limit {
				return versions, true, nil
			}
			found, err := s.at(ctx, key, release.GetRevision())
			if errors.Is(err, ErrCompacted) {
				return versions, true, nil
			}
			if err != nil {
				return nil, false, err
			}
			release.Keys = nil
			versions = append(versions, &configstorev1.Version{Revision: release.GetRevision(), Release: release, Object: found})
		}
		if !more {
			return versions, false, nil
		}
	}
	return versions, true, nil
}

func touches(release *configstorev1.Release, key object.Key) bool {
	for _, touched := range release.GetKeys() {
		if keyOf(key.Tenant, touched) == key.Normal() {
			return true
		}
	}
	return false
}

// Rollback says what is to be as it was.
type Rollback struct {
	Tenant, Author, Reason string
	// ReleaseID names a release whose objects become what they were before it.
	ReleaseID string
	// Key and Revision name an object that becomes what it was then.
	Key      object.Key
	Revision int64
	// OverLater takes back also what later releases changed again.
	OverLater bool
	DryRun    bool
	// ID names the request, as in Request.
	ID string
}

// Rollback makes a release that takes back another, or brings one object back.
// What is brought back is checked as if it were new. A request whose release
// was made already is answered with it, a dry run too.
func (s *Store) Rollback(ctx context.Context, r Rollback) (Result, error) {
	request := Request{Tenant: r.Tenant, Author: r.Author, Reason: r.Reason, DryRun: r.DryRun, ID: r.ID}
	takeBack := s.takeBackRelease
	if r.ReleaseID == "" {
		takeBack = s.takeBackObject
	}
	later, err := takeBack(ctx, r, &request)
	if err != nil {
		return Result{}, err
	}
	// Its own release is one that changed the objects again.
	if result, found, err := s.made(ctx, request); found || err != nil {
		return result, err
	}
	if err := later.Err(); err != nil {
		return Result{}, err
	}
	return s.Apply(ctx, request)
}

// takeBackObject has a request bring one object back.
func (s *Store) takeBackObject(ctx context.Context, r Rollback, request *Request) (object.Faults, error) {
	if err := s.knownKind(r.Key.Kind, "object.key.kind"); err != nil {
		return nil, err
	}
	if request.Reason == "" {
		request.Reason = fmt.Sprintf("%s as it was at revision %d", r.Key, r.Revision)
	}
	change, _, err := s.back(ctx, r.Key.Normal(), r.Revision)
	request.Changes = []*configstorev1.Change{change}
	return nil, err
}

// takeBackRelease has a request take a release back. later is what others have
// changed again since.
func (s *Store) takeBackRelease(ctx context.Context, r Rollback, request *Request) (later object.Faults, err error) {
	release, err := s.Release(ctx, r.Tenant, r.ReleaseID)
	if err != nil {
		return nil, err
	}
	if request.Reason == "" {
		request.Reason = "take back release " + r.ReleaseID
	}
	for n, touched := range release.GetKeys() {
		key := keyOf(r.Tenant, touched)
		change, now, err := s.back(ctx, key, release.GetRevision()-1)
		if err != nil {
			return nil, err
		}
		// As the release left it, it must still be; a new key makes a new
		// revision and changes nothing.
		written, err := s.at(ctx, key, release.GetRevision())
		if err != nil {
			return nil, err
		}
		if !r.OverLater && (now.GetReleaseId() != written.GetReleaseId() || (now == nil) != (written == nil)) {
			later = append(later, object.Faultf(object.ErrConflict, fmt.Sprintf("release.keys[%d]", n),
				"%s was changed again since; over_later takes that back too", key))
		}
		request.Changes = append(request.Changes, change)
	}
	return later, nil
}

// back is the change that makes an object what it was at a revision, provided
// that it stays what it is now.
func (s *Store) back(ctx context.Context, key object.Key, revision int64) (
	change *configstorev1.Change, now *configstorev1.Object, err error,
) {
	then, err := s.at(ctx, key, revision)
	if err != nil {
		return nil, nil, err
	}
	if now, err = s.at(ctx, key, 0); err != nil {
		return nil, nil, err
	}
	change = &configstorev1.Change{ExpectedRevision: now.GetRevision()}
	if then == nil {
		change.Change = &configstorev1.Change_Delete{Delete: protoKey(key)}
		return change, now, nil
	}
	if now == nil {
		change.ExpectedRevision = -1
	}
	change.Change = &configstorev1.Change_Put{Put: &configstorev1.Object{Key: protoKey(key), Labels: then.GetLabels(), Spec: then.GetSpec()}}
	return change, now, nil
}
