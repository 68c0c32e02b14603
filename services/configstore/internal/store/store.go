// Package store keeps objects, releases, kinds and instances in the engine.
//
//	store.go    Store: open, Get, List
//	read.go     GetEach: several reads that come together
//	kinds.go    kinds, known to all members
//	apply.go    Apply: a whole release or nothing
//	each.go     ApplyEach: several releases that come together
//	repeat.go   a release that is asked for again
//	requests.go releases by the requests that they were made for
//	check.go    what is checked of a release before it is written
//	condition.go what must still be so when it is written
//	lock.go     releases of the same object wait for each other
//	commit.go   releases that come together share a transaction
//	batch.go    which can, and what it writes; records of releases
//	release.go  what was released
//	history.go  what objects were, and taking back what was released
//	draft.go    releases that are prepared and reviewed first
//	canary.go   releases that some instances have first; how they begin
//	promote.go  how canaries go on and end
//	trial.go    what canaries are for a subscriber: lists and events
//	newest.go   the last change of a kind
//	seal.go     secrets are encrypted: which key is in force
//	unreadable.go secrets that cannot be opened, logged once
//	rekey.go    another key for all of them
//	register.go instances under leases
//	hub.go      one watch of the engine fans out to any number of subscribers
//	journal.go  the recent changes of one topic
//	crash.go    where tests may kill the process
//	codec.go    objects to and from values; operations of the engine
//	metrics.go
//
// Keys: /backlot/v1/<tenant>/<kind>/<namespace>/<name> are objects,
// /backlot/releases/<tenant>/<id> records of releases, <id> being that of the
// first in the transaction, and <id>!<id> marks of those that failed,
// /backlot/drafts/<tenant>/<id> drafts, /backlot/canaries/<tenant>/<id> canaries
// and /backlot/ended-canaries/<tenant>/<id> those before, /backlot/kinds/<kind> kinds,
// /backlot/seal/... which key secrets are sealed with, and who holds which. Every
// write is below /backlot/. Releases of one transaction share a revision and
// touch different objects. It does not know who may do what. All of it is safe
// for concurrent use.
package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/protobuf/types/known/anypb"

	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	"github.com/backlot-video/backlot/services/configstore/internal/engine"
	"github.com/backlot-video/backlot/services/configstore/internal/object"
	"github.com/backlot-video/backlot/services/configstore/internal/seal"
)

var (
	// ErrNotFound: no such object.
	ErrNotFound = errors.New("object not found")
	// ErrCompacted: the changes since a revision are no longer known; list
	// again. Also the end of a subscriber that was too slow.
	ErrCompacted = errors.New("revision is out of range, list again")
	// ErrBusy: others changed the same objects again and again.
	ErrBusy = errors.New("too many concurrent changes")
)

const (
	root         = "/backlot/"
	releasesRoot = root + "releases/"
	kindsRoot    = root + "kinds/"
)

// Config holds what a Store needs beside the engine.
type Config struct {
	Clock      func() time.Time      // time.Now where nil
	Log        *slog.Logger          // discarded where nil
	Registerer prometheus.Registerer // none where nil
	// Keys seal what is secret. With nil nothing is sealed: for tests.
	Keys *seal.Ring
}

// Store is the objects of all tenants.
type Store struct {
	engine   *engine.Engine
	kinds    *object.Kinds
	hub      *Hub
	clock    func() time.Time
	log      *slog.Logger
	metrics  metrics
	locks    keyLocks
	commits  *committer
	sealer   sealer
	requests *requests
	// unreadable are secrets.
	unreadable unreadable
	rekeying   sync.Mutex
	running    sync.WaitGroup
	stop       context.CancelFunc
}

// Open loads the kinds, registers those that come with Backlot, and follows
// the engine until Close.
func Open(ctx context.Context, e *engine.Engine, config Config) (*Store, error) {
	s := &Store{engine: e, kinds: object.NewKinds(), clock: config.Clock, log: config.Log}
	if s.clock == nil {
		s.clock = time.Now
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.sealer.ring = config.Keys
	s.hub = newHub(e, s.log, s.entry, s.onOther)
	s.requests = newRequests()
	s.hub.missed = s.requests.missed
	s.hub.deleted = func(kv *mvccpb.KeyValue) { s.unreadable.over(kv) }
	s.metrics = newMetrics()
	s.commits = newCommitter(e, s.metrics.batch, s.log)
	s.metrics.register(config.Registerer, s)
	if err := s.patiently(ctx, s.loadKinds); err != nil {
		return nil, err
	}
	if err := s.patiently(ctx, s.registerBuiltin); err != nil {
		return nil, err
	}
	if err := s.patiently(ctx, s.loadRequests); err != nil {
		return nil, err
	}
	unsealed := false
	if err := s.patiently(ctx, func(ctx context.Context) error {
		fresh, err := s.unlock(ctx)
		unsealed = unsealed || fresh
		return err
	}); err != nil {
		return nil, err
	}
	following, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stop = stop
	s.running.Go(func() { s.hub.run(following) })
	if err := s.hub.waitRevision(ctx, e.Revision()); err != nil {
		s.Close()
		return nil, err
	}
	if unsealed {
		if _, err := s.Rekey(ctx, nil); err != nil {
			s.Close()
			return nil, err
		}
	}
	return s, nil
}

// unlock makes sure that this member can read all that is sealed. unsealed
// tells that nothing is sealed yet.
func (s *Store) unlock(ctx context.Context) (unsealed bool, err error) {
	if unsealed, err = s.openSealer(ctx); err != nil {
		return unsealed, err
	}
	if err := s.missingKeys(ctx); err != nil {
		return unsealed, err
	}
	return unsealed, s.tellKeys(ctx)
}

// onOther is told of what is no object.
func (s *Store) onOther(event *mvccpb.Event) {
	s.onKind(event)
	s.onSeal(event)
	if err := s.requests.take(event); err != nil {
		s.log.Error("stored record of releases cannot be decoded", "err", err)
	}
}

// Redact returns a spec of a kind as readers may see it.
func (s *Store) Redact(kind string, spec *anypb.Any) *anypb.Any { return s.kinds.Redact(kind, spec) }

// IsSecret tells whether objects of a kind hold what must not be seen.
func (s *Store) IsSecret(kind string) bool { return s.kinds.IsSecret(kind) }

// Close waits for the releases that are being written, refuses those that have
// not begun, and ends all subscriptions. The engine stays open.
func (s *Store) Close() {
	s.commits.close()
	s.stop()
	s.running.Wait()
}

// Hub fans out changes.
func (s *Store) Hub() *Hub { return s.hub }

// Get reads one object.
func (s *Store) Get(ctx context.Context, key object.Key) (*configstorev1.Object, error) {
	if err := s.knownKind(key.Kind, "key.kind"); err != nil {
		return nil, err
	}
	response, err := s.engine.Range(ctx, &pb.RangeRequest{Key: []byte(key.Path())})
	if err != nil {
		return nil, fmt.Errorf("get %s: %w", key, err)
	}
	if len(response.GetKvs()) == 0 {
		return nil, fmt.Errorf("%s: %w", key, ErrNotFound)
	}
	return s.sealer.decode(response.GetKvs()[0])
}

// List reads the objects of a kind, ordered by namespace and name, and the
// revision that the list shows. An empty namespace means all. Secrets that cannot
// be opened are there as entries without spec, marked as unreadable.
func (s *Store) List(ctx context.Context, tenant, kind, namespace string) ([]*configstorev1.Object, int64, error) {
	if err := s.knownKind(kind, "kind"); err != nil {
		return nil, 0, err
	}
	return s.list(ctx, object.Prefix(tenant, kind, namespace))
}

// ListAll reads the objects of all kinds of a tenant.
func (s *Store) ListAll(ctx context.Context, tenant string) ([]*configstorev1.Object, int64, error) {
	return s.list(ctx, object.Root+tenant+"/")
}

func (s *Store) list(ctx context.Context, prefix string) ([]*configstorev1.Object, int64, error) {
	response, err := s.engine.Range(ctx, rangePrefix(prefix))
	if err != nil {
		return nil, 0, fmt.Errorf("list %s: %w", prefix, err)
	}
	objects := make([]*configstorev1.Object, len(response.GetKvs()))
	for n, kv := range response.GetKvs() {
		if objects[n], err = s.entry(kv); err != nil {
			return nil, 0, err
		}
	}
	return objects, response.GetHeader().GetRevision(), nil
}

// Subscribe follows a kind of a tenant after revision from; all its kinds
// where kind is empty. It ends with ctx.
func (s *Store) Subscribe(ctx context.Context, tenant, kind, namespace string, from int64) (*Subscription, error) {
	if kind != "" {
		if err := s.knownKind(kind, "kind"); err != nil {
			return nil, err
		}
	}
	if from > s.hub.Revision() {
		// Another member may be ahead of this one, but not of the store.
		response, err := s.engine.Range(ctx, &pb.RangeRequest{Key: []byte(root), CountOnly: true})
		if err != nil {
			return nil, fmt.Errorf("read revision: %w", err)
		}
		if newest := response.GetHeader().GetRevision(); from > newest {
			return nil, fmt.Errorf("revision %d of at most %d: %w", from, newest, ErrCompacted)
		}
	}
	return s.hub.subscribe(ctx, topic{tenant, kind}, namespace, from)
}

// SubscribeLatest is Subscribe for who needs the newest state only: changes of
// one object that wait are one, and who falls behind, or begins before what is
// kept, is given everything anew.
func (s *Store) SubscribeLatest(ctx context.Context, tenant, kind, namespace string, from int64) (*Subscription, error) {
	sub, err := s.Subscribe(ctx, tenant, kind, namespace, from)
	if errors.Is(err, ErrCompacted) {
		sub, err = s.hub.subscribe(ctx, topic{tenant, kind}, namespace, s.hub.Revision())
		if err == nil {
			sub.cursor = 0 // behind everything
		}
	}
	if err != nil {
		return nil, err
	}
	sub.list = func() ([]*configstorev1.Object, int64, error) {
		return s.list(ctx, object.Prefix(tenant, kind, namespace))
	}
	return sub, nil
}

func (s *Store) knownKind(kind, path string) error {
	if _, found := s.kinds.Get(kind); !found {
		return object.Faults{object.Faultf(object.ErrUnknownKind, path, "%q is not registered", kind)}
	}
	return nil
}
