package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	"github.com/backlot-video/backlot/services/configstore/internal/engine"
	"github.com/backlot-video/backlot/services/configstore/internal/object"
	"github.com/backlot-video/backlot/services/configstore/internal/seal"
)

const (
	sealRoot = root + "seal/"
	// inForcePath holds a text that is sealed with the key in force: who
	// cannot open it has another key.
	inForcePath = sealRoot + "in-force"
	// holdersRoot has the ids of the keys that each member holds.
	holdersRoot = sealRoot + "holders/"
	// sealedURL is the type of a spec that is sealed.
	sealedURL = "backlot.video/sealed"
	// sealedDraft begins the value of a sealed draft; no message begins so.
	sealedDraft = "\x00sealed\x00"
	checkText   = "backlot configstore"
)

// ErrSealKey means that the keys of this member are not those that the store is
// sealed with.
var ErrSealKey = errors.New("secrets cannot be read with the keys of this member")

// sealer seals the specs of secret kinds. With a nil ring it leaves all as it
// is. It is safe for concurrent use.
type sealer struct {
	ring    *seal.Ring
	inForce atomic.Pointer[force]
}

// force is the key that is sealed with, and the revision that put it in force.
type force struct {
	id       string
	revision int64
}

// take makes a key the one in force, unless a later one is.
func (s *sealer) take(fresh force) {
	for {
		now := s.inForce.Load()
		if now != nil && now.revision > fresh.revision || s.inForce.CompareAndSwap(now, &fresh) {
			return
		}
	}
}

// still is the condition under which a value that is sealed from now on may be
// written: that no other key is in force by then. What is written under the one
// before, behind the back of Rekey, would be lost with that key.
func (s *sealer) still() *pb.Compare { return unchanged(inForcePath, s.inForce.Load().revision) }

func (s *sealer) seal(at seal.Place, value []byte) ([]byte, error) {
	return s.ring.Seal(s.inForce.Load().id, at, value)
}

func (s *sealer) open(at seal.Place, sealed []byte) ([]byte, error) {
	if s.ring == nil {
		return nil, fmt.Errorf("%s: %w: there are none", at.Path, ErrSealKey)
	}
	value, err := s.ring.Open(at, sealed)
	switch {
	case errors.Is(err, seal.ErrKey):
		return nil, fmt.Errorf("%s: %w: %w", at.Path, ErrSealKey, err)
	case err != nil:
		return nil, fmt.Errorf("%s: %w", at.Path, err)
	}
	return value, nil
}

// encodeSecret is encodeObject of what will be at a place, its spec sealed.
func (s *sealer) encodeSecret(at seal.Place, o *configstorev1.Object) ([]byte, error) {
	plain, err := proto.Marshal(o.GetSpec())
	if err != nil {
		return nil, err
	}
	sealed, err := s.seal(at, plain)
	if err != nil {
		return nil, err
	}
	return encodeObject(&configstorev1.Object{
		Labels: o.GetLabels(), Spec: &anypb.Any{TypeUrl: sealedURL, Value: sealed}, ReleaseId: o.GetReleaseId(), UpdatedAt: o.GetUpdatedAt(),
	})
}

// decode is decodeObject, with the spec opened where it is sealed.
func (s *sealer) decode(kv *mvccpb.KeyValue) (*configstorev1.Object, error) {
	o, err := decodeObject(kv)
	if err != nil || o.GetSpec().GetTypeUrl() != sealedURL {
		return o, err
	}
	plain, err := s.open(placeOf(kv), o.GetSpec().GetValue())
	if err != nil {
		return nil, err
	}
	spec := new(anypb.Any)
	if err := proto.Unmarshal(plain, spec); err != nil {
		return nil, fmt.Errorf("%s: %w", kv.GetKey(), err)
	}
	o.Spec = spec
	return o, nil
}

// entry is decode for who reads many objects: a secret that cannot be opened is
// marked as unreadable and fails nothing but itself.
func (s *Store) entry(kv *mvccpb.KeyValue) (*configstorev1.Object, error) {
	o, err := s.sealer.decode(kv)
	if err == nil {
		if s.unreadable.over(kv) {
			s.log.Info("a secret can be read again", "path", string(kv.GetKey()))
		}
		return o, nil
	}
	key, unknown := object.ParsePath(string(kv.GetKey()))
	if unknown != nil || !s.kinds.IsSecret(key.Kind) {
		return nil, err
	}
	s.metrics.unreadable.Inc()
	if s.unreadable.met(kv) {
		s.log.Error("a secret cannot be read: put it anew or delete it", "err", err)
	}
	if o, err = decodeObject(kv); err != nil {
		o = &configstorev1.Object{Key: protoKey(key), Revision: kv.GetModRevision()}
	}
	o.Spec, o.Unreadable = nil, true
	return o, nil
}

func placeOf(kv *mvccpb.KeyValue) seal.Place {
	return seal.Place{Path: string(kv.GetKey()), Version: kv.GetVersion()}
}

// encode is the value of an object that is about to be written. version is how
// often its key was written since it exists, 0 where it does not.
func (s *Store) encode(key object.Key, version int64, o *configstorev1.Object) ([]byte, error) {
	if s.sealer.ring == nil || !s.kinds.IsSecret(key.Kind) {
		return encodeObject(o)
	}
	return s.sealer.encodeSecret(seal.Place{Path: key.Path(), Version: version + 1}, o)
}

func (s *Store) encodeDraft(path string, version int64, draft *configstorev1.Draft) ([]byte, error) {
	value, err := proto.Marshal(draft)
	if err != nil || s.sealer.ring == nil {
		return value, err
	}
	sealed, err := s.sealer.seal(seal.Place{Path: path, Version: version + 1}, value)
	return append([]byte(sealedDraft), sealed...), err
}

func (s *Store) decodeDraft(kv *mvccpb.KeyValue) (*configstorev1.Draft, error) {
	value := kv.GetValue()
	if sealed, found := strings.CutPrefix(string(value), sealedDraft); found {
		var err error
		if value, err = s.sealer.open(placeOf(kv), []byte(sealed)); err != nil {
			return nil, err
		}
	}
	draft := new(configstorev1.Draft)
	if err := proto.Unmarshal(value, draft); err != nil {
		return nil, fmt.Errorf("draft at %s: %w", kv.GetKey(), err)
	}
	return draft, nil
}

// HasKey tells whether an engine's store is sealed already, and with which key.
func HasKey(ctx context.Context, e *engine.Engine) (id string, found bool, err error) {
	kv, err := one(ctx, e, inForcePath)
	if err != nil || kv == nil {
		return "", false, err
	}
	id, err = seal.KeyOf(kv.GetValue())
	return id, true, err
}

func one(ctx context.Context, e *engine.Engine, path string) (*mvccpb.KeyValue, error) {
	response, err := e.Range(ctx, &pb.RangeRequest{Key: []byte(path)})
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if len(response.GetKvs()) == 0 {
		return nil, nil
	}
	return response.GetKvs()[0], nil
}

// openSealer finds the key in force, or puts the newest one in force where
// there was none. fresh tells of the latter: what is there may not be sealed.
func (s *Store) openSealer(ctx context.Context) (fresh bool, err error) {
	kv, err := one(ctx, s.engine, inForcePath)
	switch {
	case err != nil:
		return false, err
	case kv == nil && s.sealer.ring == nil:
		return false, nil
	case kv != nil:
		return false, s.takeInForce(kv)
	}
	if fresh, err = s.putInForce(ctx, s.sealer.ring.Newest(), 0); err != nil || fresh {
		return fresh, err
	}
	if kv, err = one(ctx, s.engine, inForcePath); err == nil && kv == nil {
		err = ErrBusy
	}
	if err != nil {
		return false, err
	}
	return false, s.takeInForce(kv)
}

// takeInForce makes sure that this member has the key in force.
func (s *Store) takeInForce(kv *mvccpb.KeyValue) error {
	text, err := s.sealer.open(seal.Place{Path: inForcePath}, kv.GetValue())
	if err == nil && string(text) != checkText {
		err = fmt.Errorf("%s: %w", inForcePath, seal.ErrDamaged)
	}
	if err != nil {
		return err
	}
	id, err := seal.KeyOf(kv.GetValue())
	if err != nil {
		return err
	}
	s.sealer.take(force{id, kv.GetModRevision()})
	return nil
}

// renewForce learns which key is in force now, where a release has secrets.
func (s *Store) renewForce(ctx context.Context, changes []*change) error {
	if !s.hasSecrets(changes) {
		return nil
	}
	kv, err := one(ctx, s.engine, inForcePath)
	if err != nil {
		return err
	}
	return s.takeInForce(kv)
}

// hasSecrets tells whether a release is to be sealed in part.
func (s *Store) hasSecrets(changes []*change) bool {
	return s.sealer.ring != nil &&
		slices.ContainsFunc(changes, func(c *change) bool { return c.put != nil && s.kinds.IsSecret(c.key.Kind) })
}

// putInForce makes a key the one in force, if that is still at a revision.
func (s *Store) putInForce(ctx context.Context, id string, revision int64) (done bool, err error) {
	value, err := s.sealer.ring.Seal(id, seal.Place{Path: inForcePath}, []byte(checkText))
	if err != nil {
		return false, err
	}
	written, err := s.engine.Txn(ctx, &pb.TxnRequest{
		Compare: []*pb.Compare{unchanged(inForcePath, revision)}, Success: []*pb.RequestOp{putOp(inForcePath, value, 0)},
	})
	if err != nil {
		return false, fmt.Errorf("put key %s in force: %w", id, err)
	}
	if written.GetSucceeded() {
		s.sealer.take(force{id, written.GetHeader().GetRevision()})
	}
	return written.GetSucceeded(), nil
}

// tellKeys lets other members know which keys this one holds.
func (s *Store) tellKeys(ctx context.Context) error {
	if s.sealer.ring == nil {
		return nil
	}
	path := holdersRoot + engine.FormatID(s.engine.Status().ID)
	ids := strings.Join(s.sealer.ring.IDs(), ",")
	kv, err := one(ctx, s.engine, path)
	if err != nil || string(kv.GetValue()) == ids {
		return err
	}
	_, err = s.engine.Txn(ctx, &pb.TxnRequest{Success: []*pb.RequestOp{putOp(path, []byte(ids), 0)}})
	if err != nil {
		return fmt.Errorf("tell of keys: %w", err)
	}
	return nil
}

// onSeal takes over the key that another member put in force.
func (s *Store) onSeal(event *mvccpb.Event) {
	if event.GetType() != mvccpb.Event_PUT || string(event.GetKv().GetKey()) != inForcePath || s.sealer.ring == nil {
		return
	}
	if err := s.takeInForce(event.GetKv()); err != nil {
		s.log.Error("the key in force is another, and not one of this member", "err", err)
	}
}
