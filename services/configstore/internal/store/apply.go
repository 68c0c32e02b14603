package store

import (
	"context"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	"github.com/backlot-video/backlot/services/configstore/internal/object"
)

// maxApplyTries bounds how often a release starts anew because others changed
// what it had read.
const maxApplyTries = 16

// Request is a release to be.
type Request struct {
	Tenant  string
	Author  string
	Reason  string
	Changes []*configstorev1.Change
	DryRun  bool
	// ID names the request, that it may be repeated: a UUID, or empty.
	ID string

	draft string     // id of the one that it was, if any
	with  *companion // written together with the release
}

// Result is a release, and the objects as they are after it, in order of the
// changes. Of a deleted one there is the key only.
type Result struct {
	Release *configstorev1.Release
	Objects []*configstorev1.Object
}

// Apply writes all changes or none. Puts that change nothing and deletions of
// what does not exist are not written; a release of nothing else is none: its
// id is empty. A request whose release was made already is answered with it.
func (s *Store) Apply(ctx context.Context, request Request) (Result, error) {
	changes, err := s.check(request)
	if err != nil {
		s.metrics.releases.WithLabelValues("refused").Inc()
		return Result{}, err
	}
	return s.applyChecked(ctx, request, changes)
}

func (s *Store) applyChecked(ctx context.Context, request Request, changes []*change) (Result, error) {
	unlock, err := s.locks.acquire(ctx, paths(changes))
	if err != nil {
		return Result{}, err
	}
	defer unlock()
	for try := range maxApplyTries {
		look := firstLook(request)
		look.local = look.local && try == 0
		result, done, err := s.try(ctx, request, changes, look)
		if err != nil {
			s.metrics.releases.WithLabelValues("refused").Inc()
			return Result{}, err
		}
		if done {
			return result, nil
		}
		if !look.local {
			s.metrics.conflicts.Inc()
		}
	}
	s.metrics.releases.WithLabelValues("busy").Inc()
	return Result{}, ErrBusy
}

// firstLook is at what this member has, which costs little and may be behind:
// what is written is compared anyway, and nothing is refused or left as it is
// without a second look.
func firstLook(request Request) look { return look{local: !request.DryRun} }

func paths(changes []*change) []string {
	all := make([]string, len(changes))
	for n, c := range changes {
		all[n] = c.key.Path()
	}
	return all
}

// change is one checked change and what the store holds of its object.
type change struct {
	key      object.Key
	path     string // of the field in the request, `changes[3].put`
	expected int64
	put      *configstorev1.Object // nil: delete
	message  proto.Message         // decoded spec of put

	present *configstorev1.Object // as read; nil: does not exist
	version int64                 // writes of its key so far
}

// writes tells whether the change makes a difference.
func (c *change) writes() bool {
	if c.put == nil {
		return c.present != nil
	}
	return c.present == nil || !sameContent(c.put, c.present)
}

func (c *change) presentRevision() int64 { return c.present.GetRevision() }

// try reads, checks against what it read, and writes if that is still so. It
// is not done where it was not, or where another look has to decide.
func (s *Store) try(ctx context.Context, request Request, changes []*change, at look) (Result, bool, error) {
	p, err := s.prepare(ctx, request, changes, at)
	if err != nil || p.write == nil {
		return p.result, p.done, err
	}
	written, err := s.commits.write(ctx, p.write)
	if err != nil || !written.done {
		return Result{}, false, err
	}
	return s.written(changes, p.result.Release, written), true, nil
}

// prepared is a release that is to be written, or what has come of it without.
type prepared struct {
	write  *write // nil: there is nothing to write
	result Result // its release, or all of it where that is done
	done   bool   // without a write
}

// prepare is try as far as it goes before the write. What is neither done nor
// to be written needs another look.
func (s *Store) prepare(ctx context.Context, request Request, changes []*change, at look) (prepared, error) {
	if err := s.readState(ctx, changes, &at); err != nil {
		return prepared{}, err
	}
	if result, found, err := s.repeated(ctx, request, changes, at); err != nil || found {
		return prepared{result: result, done: found}, err
	}
	conditions, err := s.checkState(ctx, changes, at)
	if err != nil {
		return prepared{}, at.decides(err)
	}
	if !at.local {
		if err := s.renewForce(ctx, changes); err != nil {
			return prepared{}, err
		}
	}
	release := s.newRelease(request, changes)
	if request.DryRun || len(release.GetKeys()) == 0 {
		release.Revision = at.revision
		return prepared{result: Result{release, after(changes, release)}, done: !at.local}, nil
	}
	w, err := s.newWrite(request, changes, release, conditions)
	return prepared{write: w, result: Result{Release: release}}, err
}

// written completes a release that was.
func (s *Store) written(changes []*change, release *configstorev1.Release, out outcome) Result {
	release.Id, release.Revision = out.id, out.revision
	s.metrics.releases.WithLabelValues("applied").Inc()
	s.metrics.changes.Add(float64(len(release.GetKeys())))
	return Result{release, after(changes, release)}
}

// newRelease describes the changes that are written.
func (s *Store) newRelease(request Request, changes []*change) *configstorev1.Release {
	release := &configstorev1.Release{
		Author: request.Author, Reason: request.Reason, CreatedAt: s.clock().UnixMicro(), DraftId: request.draft,
	}
	if id := request.id(); id != noID {
		release.RequestId = id.String()
	}
	for _, c := range changes {
		if c.writes() {
			release.Keys = append(release.Keys, protoKey(c.key))
		}
	}
	return release
}

// newWrite encodes the release, all but its id. It is written if nothing that
// it touches has changed, and the conditions hold.
func (s *Store) newWrite(request Request, changes []*change, release *configstorev1.Release, conditions conditions) (*write, error) {
	w := &write{tenant: request.Tenant, alone: conditions.ranges, checked: conditions.keys}
	w.compares = make([]*pb.Compare, 0, len(changes)+len(conditions.compares)+1)
	w.keys = make([]string, 0, len(changes))
	if s.hasSecrets(changes) {
		w.compares = append(w.compares, s.sealer.still()) // before anything is sealed
	}
	w.ops = make([]encodedOp, 0, len(changes))
	for _, c := range changes {
		path := c.key.Path()
		w.compares = append(w.compares, unchanged(path, c.presentRevision()))
		if !c.writes() {
			w.checked = append(w.checked, path)
			continue
		}
		w.keys = append(w.keys, path)
		if c.put == nil {
			w.ops = append(w.ops, encodedOp{whole: deleteOp(path)})
			continue
		}
		value, err := s.encode(c.key, c.version, fresh(c, release))
		if err != nil {
			return nil, err
		}
		w.ops = append(w.ops, encodedOp{path: path, value: value})
		w.bytes += len(path) + len(value)
	}
	w.compares = append(w.compares, conditions.compares...)
	if with := request.with; with != nil {
		w.compares = append(w.compares, with.compare)
		w.ops = append(w.ops, encodedOp{whole: with.op})
		w.keys = append(w.keys, string(with.compare.GetKey()))
	}
	var err error
	w.record, err = proto.Marshal(release)
	w.bytes += len(w.record)
	return w, err
}

// fresh is the object that a put writes; one that is only checked has no
// revision.
func fresh(c *change, release *configstorev1.Release) *configstorev1.Object {
	o := &configstorev1.Object{
		Key: protoKey(c.key), Labels: c.put.GetLabels(), Spec: c.put.GetSpec(),
		ReleaseId: release.GetId(), UpdatedAt: release.GetCreatedAt(),
	}
	if o.GetReleaseId() != "" {
		o.Revision = release.GetRevision()
	}
	return o
}

// after is every object as it is once the release is written.
func after(changes []*change, release *configstorev1.Release) []*configstorev1.Object {
	objects := make([]*configstorev1.Object, len(changes))
	for n, c := range changes {
		switch {
		case c.put == nil:
			objects[n] = &configstorev1.Object{Key: protoKey(c.key)}
		case c.writes():
			objects[n] = fresh(c, release)
		default:
			objects[n] = c.present
		}
	}
	return objects
}

func sameContent(a, b *configstorev1.Object) bool {
	if len(a.GetLabels()) != len(b.GetLabels()) || !sameSpec(a.GetSpec(), b.GetSpec()) {
		return false
	}
	for name, value := range a.GetLabels() {
		if other, found := b.GetLabels()[name]; !found || other != value {
			return false
		}
	}
	return true
}

func sameSpec(a, b *anypb.Any) bool {
	return a.GetTypeUrl() == b.GetTypeUrl() && string(a.GetValue()) == string(b.GetValue())
}
