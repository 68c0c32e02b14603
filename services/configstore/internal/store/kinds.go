package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"

	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	"github.com/backlot-video/backlot/services/configstore/internal/object"
)

// RegisterKind makes a kind known to all members. Registering what is known
// already writes nothing.
func (s *Store) RegisterKind(ctx context.Context, name, message string, set *descriptorpb.FileDescriptorSet) error {
	kind, err := s.kinds.Prepare(name, message, set)
	if err != nil {
		return err
	}
	return s.registerKinds(ctx, kind)
}

// patiently runs what a start needs, again and again while others are in
// between or the members have no leader: members that start together do both.
func (s *Store) patiently(ctx context.Context, run func(context.Context) error) error {
	for {
		err := run(ctx)
		switch {
		case errors.Is(err, ErrBusy):
		case status.Code(err) == codes.Unavailable:
			s.log.Warn("start waits for a leader", "err", err)
		default:
			return err
		}
		select {
		case <-time.After(reopenAfter):
		case <-ctx.Done():
			return err
		}
	}
}

// registerKinds writes those of the kinds that are not known as they are, all
// in one revision.
func (s *Store) registerKinds(ctx context.Context, kinds ...*object.Kind) error {
	txn := new(pb.TxnRequest)
	var fresh []*object.Kind
	for _, kind := range kinds {
		if known, found := s.kinds.Get(kind.Name); found && known.Same(kind) {
			continue
		}
		fresh = append(fresh, kind)
		if err := s.addKind(ctx, txn, kind); err != nil {
			return fmt.Errorf("register kind %s: %w", kind.Name, err)
		}
	}
	if len(txn.GetSuccess()) == 0 {
		return nil
	}
	beforeKind.Hit()
	written, err := s.engine.Txn(ctx, txn)
	if err != nil {
		return fmt.Errorf("register kinds: %w", err)
	}
	afterKind.Hit()
	if !written.GetSucceeded() {
		return fmt.Errorf("register kinds: %w", ErrBusy)
	}
	for _, kind := range fresh {
		if err := s.kinds.Register(kind); err != nil {
			return err
		}
	}
	s.log.Info("kinds registered", "count", len(fresh))
	return nil
}

// addKind adds the write of a kind to txn, after a look at what another member
// may have stored.
func (s *Store) addKind(ctx context.Context, txn *pb.TxnRequest, kind *object.Kind) error {
	path := kindsRoot + kind.Name
	stored, err := s.engine.Range(ctx, &pb.RangeRequest{Key: []byte(path)})
	if err != nil {
		return err
	}
	var revision int64
	for _, kv := range stored.GetKvs() {
		if err := s.takeKind(kv); err != nil {
			return err
		}
		revision = kv.GetModRevision()
	}
	if err := s.kinds.Accepts(kind); err != nil {
		return err
	}
	value, err := encodeKind(kind)
	if err != nil {
		return err
	}
	txn.Compare = append(txn.Compare, unchanged(path, revision))
	txn.Success = append(txn.Success, putOp(path, value, 0))
	return nil
}

// Kinds lists the kinds, ordered by name.
func (s *Store) Kinds() []*object.Kind { return s.kinds.List() }

func (s *Store) loadKinds(ctx context.Context) error {
	stored, err := s.engine.Range(ctx, rangePrefix(kindsRoot))
	if err != nil {
		return fmt.Errorf("load kinds: %w", err)
	}
	for _, kv := range stored.GetKvs() {
		if err := s.takeKind(kv); err != nil {
			return fmt.Errorf("load kinds: %w", err)
		}
	}
	return nil
}

func (s *Store) registerBuiltin(ctx context.Context) error {
	kinds, err := s.kinds.Builtin()
	if err != nil {
		return fmt.Errorf("built-in kinds: %w", err)
	}
	return s.registerKinds(ctx, kinds...)
}

// onKind takes over a kind that any member registered.
func (s *Store) onKind(event *mvccpb.Event) {
	if event.GetType() != mvccpb.Event_PUT || !strings.HasPrefix(string(event.GetKv().GetKey()), kindsRoot) {
		return
	}
	if err := s.takeKind(event.GetKv()); err != nil {
		s.log.Error("stored kind cannot be used", "err", err)
	}
}

func (s *Store) takeKind(kv *mvccpb.KeyValue) error {
	stored := new(configstorev1.Kind)
	if err := proto.Unmarshal(kv.GetValue(), stored); err != nil {
		return fmt.Errorf("kind at %s: %w", kv.GetKey(), err)
	}
	kind, err := s.kinds.Prepare(stored.GetName(), stored.GetMessage(), stored.GetDescriptors())
	if err != nil {
		return fmt.Errorf("kind %s: %w", stored.GetName(), err)
	}
	if known, found := s.kinds.Get(kind.Name); found && known.Same(kind) {
		return nil
	}
	return s.kinds.Register(kind)
}

func encodeKind(kind *object.Kind) ([]byte, error) {
	set, err := kind.Descriptors()
	if err != nil {
		return nil, err
	}
	return proto.Marshal(&configstorev1.Kind{Name: kind.Name, Message: string(kind.Message), Descriptors: set})
}
