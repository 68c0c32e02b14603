package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

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
	if err != nil {
		s.metrics.repeated.WithLabelValues("refused").Inc()
		return Result{}, false, err
	}
	s.metrics.repeated.WithLabelValues("answered").Inc()
	return result, true, nil
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

// again is the result of a release as it was, provided that it is what is
// asked for.
func (s *Store) again(ctx context.Context, request Request, changes []*change, made requested) (Result, error) {
	id := made.release.String()
	differs := func(what string) error {
		return object.Faults{object.Faultf(object.ErrConflict, "request_id",
			"it was given before, and became release %s with another %s: give each release an id of its own", id, what)}
	}
	release, err := s.Release(ctx, request.Tenant, id)
	switch {
	case errors.Is(err, ErrNotFound):
		return Result{}, differs("record, which is no longer kept")
	case err != nil:
		return Result{}, err
	case release.GetAuthor() != request.Author:
		return Result{}, differs("author")
	case release.GetReason() != request.Reason:
		return Result{}, differs("reason")
	}
	then, err := s.asOf(ctx, changes, made.revision)
	if isGone(err) {
		return Result{}, differs("content, which is no longer kept")
	}
	if err != nil {
		return Result{}, fmt.Errorf("read release %s: %w", id, err)
	}
	left := make(map[object.Key]bool, len(release.GetKeys()))
	for _, key := range release.GetKeys() {
		left[keyOf(request.Tenant, key)] = true
	}
	for _, c := range then {
		if c.writes() {
			return Result{}, differs(c.path)
		}
		delete(left, c.key)
	}
	for key := range left {
		return Result{}, differs("object, " + key.String())
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
