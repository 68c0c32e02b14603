package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	"github.com/backlot-video/backlot/services/configstore/internal/object"
)

// noID is that of requests without one.
var noID uuid.UUID

func checkRequestID(text string) object.Faults {
	if _, err := uuid.Parse(text); err == nil || text == "" {
		return nil
	}
	return object.Faults{object.Faultf(object.ErrInvalid, "request_id",
		"%q is no UUID: make one for each release that is asked for, or leave it out", text)}
}

// id is the request's, which was checked.
func (r Request) id() uuid.UUID {
	if r.ID == "" {
		return noID
	}
	id, err := uuid.Parse(r.ID)
	if err != nil {
		return noID
	}
	return id
}

// repeated answers a request whose release was made already. The objects of
// the changes have been read as look says: had the release been made before
// that, it is known here, and if it is made after that, what is written now
// is compared in vain.
func (s *Store) repeated(ctx context.Context, request Request, changes []*change, at look) (result Result, found bool, err error) {
	id := request.id()
	if id == noID || request.DryRun {
		return Result{}, false, nil
	}
	if err := s.knowRequests(ctx, changes, at); err != nil {
		return Result{}, false, err
	}
	made, found := s.requests.find(requestKey{request.Tenant, id})
	if !found {
		return Result{}, false, nil
	}
	result, err = s.again(ctx, request, changes, made)
	return s.counted(result, err)
}

// counted counts what became of a request whose release was made already.
func (s *Store) counted(result Result, err error) (Result, bool, error) {
	if err != nil {
		s.metrics.repeated.WithLabelValues("refused").Inc()
		return Result{}, false, err
	}
	s.metrics.repeated.WithLabelValues("answered").Inc()
	return result, true, nil
}

// made is repeated for a request that could not even be checked once its
// release was made: that changed what it starts from.
func (s *Store) made(ctx context.Context, request Request) (result Result, found bool, err error) {
	if request.ID == "" {
		return Result{}, false, nil
	}
	changes, err := s.check(request)
	if err != nil {
		return Result{}, false, err
	}
	var at look
	if err := s.readState(ctx, changes, &at); err != nil {
		return Result{}, false, err
	}
	request.DryRun = false
	return s.repeated(ctx, request, changes, at)
}

// madeOfDraft is made for a draft that has ended, and its changes with it: the
// release says what they were.
func (s *Store) madeOfDraft(ctx context.Context, request Request) (result Result, found bool, err error) {
	if request.id() == noID {
		return Result{}, false, nil
	}
	if err := s.knowRequests(ctx, nil, look{}); err != nil {
		return Result{}, false, err
	}
	// What ended the draft is known once the hub has seen what is there now.
	now, err := s.engine.Range(ctx, &pb.RangeRequest{Key: []byte(draftPath(request.Tenant, request.draft)), KeysOnly: true})
	if err != nil {
		return Result{}, false, fmt.Errorf("look for draft %s: %w", request.draft, err)
	}
	if err := s.hub.waitRevision(ctx, now.GetHeader().GetRevision()); err != nil {
		return Result{}, false, err
	}
	made, found := s.requests.find(requestKey{request.Tenant, request.id()})
	if !found {
		return Result{}, false, nil
	}
	release, err := s.sameRelease(ctx, request, made)
	if err != nil {
		return s.counted(Result{}, err)
	}
	changes := make([]*change, len(release.GetKeys()))
	for n, key := range release.GetKeys() {
		changes[n] = &change{key: keyOf(request.Tenant, key)}
	}
	then, err := s.asOf(ctx, changes, made.revision)
	if err != nil {
		return s.counted(Result{}, fmt.Errorf("read release %s: %w", release.GetId(), err))
	}
	objects := make([]*configstorev1.Object, len(then))
	for n, c := range then {
		if objects[n] = c.present; c.present == nil {
			objects[n] = &configstorev1.Object{Key: protoKey(c.key)}
		}
	}
	return s.counted(Result{release, objects}, nil)
}

// knowRequests waits until all requests are known that can have been carried
// out before the look. Mostly there is no need to: a release that the hub has
// yet to see would have left one of its objects at a revision that the hub has
// yet to see, or without one.
func (s *Store) knowRequests(ctx context.Context, changes []*change, at look) error {
	if s.requests.hasGap() {
		if err := s.loadRequests(ctx); err != nil {
			return err
		}
	}
	known := s.hub.Revision()
	for _, c := range changes {
		if c.present == nil || c.presentRevision() > known {
			return s.hub.waitRevision(ctx, at.revision)
		}
	}
	return nil
}

// differs refuses a request whose id became a release of something else.
func (r requested) differs(what string) error {
	return object.Faults{object.Faultf(object.ErrConflict, "request_id",
		"it was given before, and became release %s with another %s: give each release an id of its own", r.release, what)}
}

// sameRelease is the release that was made for a request, provided that it was
// made by the same one for the same reason, of the same draft if any. Of a
// draft that has ended the reason is not known.
func (s *Store) sameRelease(ctx context.Context, request Request, made requested) (*configstorev1.Release, error) {
	release, err := s.Release(ctx, request.Tenant, made.release.String())
	switch {
	case errors.Is(err, ErrNotFound):
		return nil, made.differs("record, which is no longer kept")
	case err != nil:
		return nil, err
	case release.GetAuthor() != request.Author:
		return nil, made.differs("author")
	case release.GetDraftId() != request.draft:
		return nil, made.differs("draft")
	case release.GetReason() != request.Reason && request.draft == "":
		return nil, made.differs("reason")
	}
	return release, nil
}

// again is the result of a release as it was, provided that it is what is
// asked for.
func (s *Store) again(ctx context.Context, request Request, changes []*change, made requested) (Result, error) {
	release, err := s.sameRelease(ctx, request, made)
	if err != nil {
		return Result{}, err
	}
	then, err := s.asOf(ctx, changes, made.revision)
	if isGone(err) {
		return Result{}, made.differs("content, which is no longer kept")
	}
	if err != nil {
		return Result{}, fmt.Errorf("read release %s: %w", release.GetId(), err)
	}
	left := make(map[object.Key]bool, len(release.GetKeys()))
	for _, key := range release.GetKeys() {
		left[keyOf(request.Tenant, key)] = true
	}
	for _, c := range then {
		if c.writes() {
			return Result{}, made.differs(c.path)
		}
		delete(left, c.key)
	}
	for key := range left {
		return Result{}, made.differs("object, " + key.String())
	}
	return Result{release, after(then, release)}, nil
}

// asOf is the changes with the objects as they were at a revision.
func (s *Store) asOf(ctx context.Context, changes []*change, revision int64) ([]*change, error) {
	keys := make([][]byte, len(changes))
	for n, c := range changes {
		keys[n] = []byte(c.key.Path())
	}
	found, _, err := s.readAll(ctx, keys, revision)
	if err != nil {
		return nil, err
	}
	then := make([]*change, len(changes))
	for n, c := range changes {
		then[n] = &change{key: c.key, path: c.path, put: c.put}
		if found[n] == nil {
			continue
		}
		if then[n].present, err = s.sealer.decode(found[n]); err != nil {
			return nil, err
		}
	}
	return then, nil
}
