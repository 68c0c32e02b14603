package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/backlot-video/backlot/services/configstore/internal/engine"
	"github.com/backlot-video/backlot/services/configstore/internal/object"
	"github.com/backlot-video/backlot/services/configstore/internal/seal"
)

// ErrRekey means that the newest key cannot be put in force yet.
var ErrRekey = errors.New("rekey")

const (
	// scanPage is how many values are looked at together.
	scanPage = 500
	// maxRekeyPasses bounds how often what others wrote meanwhile is looked
	// for again.
	maxRekeyPasses = 20
)

// Rekeyed is how far Rekey is, or what came of it.
type Rekeyed struct {
	Key         string // in force
	Done, Total int    // values written anew, and found so far that needed it
	Revision    int64  // before it older keys may still be needed
}

// Rekey puts the newest key of this member in force and seals everything anew
// that is not under it, one value at a time, each only if it is still what it
// was. Cut off anywhere it leaves every value readable, and goes on when called
// again. Specs do not change, but revisions do. report may be nil.
func (s *Store) Rekey(ctx context.Context, report func(Rekeyed) error) (Rekeyed, error) {
	if s.sealer.ring == nil {
		return Rekeyed{}, fmt.Errorf("%w: there is no key file", ErrRekey)
	}
	s.rekeying.Lock()
	defer s.rekeying.Unlock()
	made := Rekeyed{Key: s.sealer.ring.Newest()}
	if err := s.raise(ctx, made.Key); err != nil {
		return Rekeyed{}, err
	}
	for range maxRekeyPasses {
		stale, err := s.stale(ctx, made.Key)
		if err != nil {
			return made, err
		}
		if len(stale) == 0 {
			made.Revision = s.engine.Revision()
			s.log.Info("secrets are under one key", "key_id", made.Key, "rewritten", made.Done)
			return made, nil
		}
		made.Total = made.Done + len(stale)
		for _, path := range stale {
			done, err := s.reseal(ctx, path, made.Key)
			if err != nil {
				return made, err
			}
			if !done {
				continue // the next pass looks at it again
			}
			made.Done++
			if report != nil {
				if err := report(made); err != nil {
					return made, err
				}
			}
		}
	}
	return made, fmt.Errorf("rekey: %w", ErrBusy)
}

// raise puts a key in force that every member holds.
func (s *Store) raise(ctx context.Context, id string) error {
	kv, err := one(ctx, s.engine, inForcePath)
	if err != nil {
		return err
	}
	if now, err := seal.KeyOf(kv.GetValue()); err == nil && now == id {
		return s.takeInForce(kv)
	}
	for _, m := range s.engine.Status().Members {
		if m.Self {
			continue
		}
		held, err := one(ctx, s.engine, holdersRoot+engine.FormatID(m.ID))
		if err != nil {
			return err
		}
		if !slices.Contains(strings.Split(string(held.GetValue()), ","), id) {
			return fmt.Errorf("%w: member %s (%s) does not hold key %s: add it to its key file and start it anew first",
				ErrRekey, engine.FormatID(m.ID), m.Name, id)
		}
	}
	done, err := s.putInForce(ctx, id, kv.GetModRevision())
	if err == nil && !done {
		err = fmt.Errorf("put key %s in force: %w", id, ErrBusy)
	}
	return err
}

// reseal writes a value under a key, unless it is not the one that was read any
// more.
func (s *Store) reseal(ctx context.Context, path, id string) (done bool, err error) {
	kv, err := one(ctx, s.engine, path)
	if err != nil || kv == nil || !s.isStale(kv, id) {
		return false, err
	}
	still := s.sealer.still() // before it is sealed
	var value []byte
	if key, parsed := object.ParsePath(path); parsed == nil {
		o, err := s.sealer.decode(kv)
		if err != nil {
			return false, err
		}
		if value, err = s.encode(key, kv.GetVersion(), o); err != nil {
			return false, err
		}
	} else {
		draft, err := s.decodeDraft(kv)
		if err != nil {
			return false, err
		}
		if value, err = s.encodeDraft(path, kv.GetVersion(), draft); err != nil {
			return false, err
		}
	}
	written, err := s.engine.Txn(ctx, &pb.TxnRequest{
		Compare: []*pb.Compare{unchanged(path, kv.GetModRevision()), still},
		Success: []*pb.RequestOp{putOp(path, value, kv.GetLease())},
	})
	if err != nil {
		return false, fmt.Errorf("reseal %s: %w", path, err)
	}
	return written.GetSucceeded(), nil
}

// isStale tells whether a value is worth sealing and not under a key.
func (s *Store) isStale(kv *mvccpb.KeyValue, id string) bool {
	found, secret := s.keyOfValue(kv)
	return secret && found != id
}

// keyOfValue is the id of the key that a value is sealed with: empty where a
// secret is not sealed, or what it is sealed with cannot be told.
func (s *Store) keyOfValue(kv *mvccpb.KeyValue) (id string, secret bool) {
	path := string(kv.GetKey())
	if key, err := object.ParsePath(path); err == nil {
		if !s.kinds.IsSecret(key.Kind) {
			return "", false
		}
		o, err := decodeObject(kv)
		if err != nil || o.GetSpec().GetTypeUrl() != sealedURL {
			return "", true
		}
		id, _ = seal.KeyOf(o.GetSpec().GetValue())
		return id, true
	}
	if sealed, found := strings.CutPrefix(string(kv.GetValue()), sealedDraft); found {
		id, _ = seal.KeyOf([]byte(sealed))
	}
	return id, strings.HasPrefix(path, draftsRoot)
}

// stale are the paths of what is not under a key.
func (s *Store) stale(ctx context.Context, id string) (paths []string, err error) {
	err = s.scan(ctx, func(kv *mvccpb.KeyValue) {
		if s.isStale(kv, id) {
			paths = append(paths, string(kv.GetKey()))
		}
	})
	return paths, err
}

// missingKeys tells of values that this member cannot open, for lack of a key.
func (s *Store) missingKeys(ctx context.Context) error {
	count, sample, needed := 0, "", ""
	err := s.scan(ctx, func(kv *mvccpb.KeyValue) {
		id, secret := s.keyOfValue(kv)
		if secret && id != "" && (s.sealer.ring == nil || !s.sealer.ring.Has(id)) {
			count, sample, needed = count+1, string(kv.GetKey()), id
		}
	})
	if err == nil && count > 0 {
		err = fmt.Errorf("%w: %d values, as %s, are sealed with others, as %s: give that key back and rekey first", ErrSealKey, count, sample, needed)
	}
	return err
}

// scan looks at all objects and drafts, some at a time.
func (s *Store) scan(ctx context.Context, visit func(*mvccpb.KeyValue)) error {
	for _, prefix := range []string{object.Root, draftsRoot} {
		from := []byte(prefix)
		for {
			response, err := s.engine.Range(ctx, &pb.RangeRequest{Key: from, RangeEnd: engine.PrefixEnd(prefix), Limit: scanPage})
			if err != nil {
				return fmt.Errorf("look for secrets: %w", err)
			}
			for _, kv := range response.GetKvs() {
				visit(kv)
			}
			if !response.GetMore() {
				break
			}
			last := response.GetKvs()[len(response.GetKvs())-1].GetKey()
			from = append(slices.Clone(last), 0)
		}
	}
	return nil
}
