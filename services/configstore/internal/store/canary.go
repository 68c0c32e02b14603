package store

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/google/uuid"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/protobuf/proto"

	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	"github.com/backlot-video/backlot/services/configstore/internal/canary"
	"github.com/backlot-video/backlot/services/configstore/internal/object"
)

const (
	canariesRoot = root + "canaries/"
	// endedRoot keeps canaries when all subscribers may know of their end.
	endedRoot = root + "ended-canaries/"
	// canaryGuardRoot has a key for each tenant that orders the beginnings.
	canaryGuardRoot = root + "canary-guard/"

	// MaxCanaries bounds those of a tenant that run.
	MaxCanaries = 8
	// MaxCanaryObjects bounds one.
	MaxCanaryObjects = 100
	// MaxCanaryBytes is the size of one's specs together.
	MaxCanaryBytes = 512 << 10
	// maxEnded bounds the ended ones of a tenant that are kept.
	maxEnded = 50
	// maxNotes bounds those of one canary.
	maxNotes = 32
)

var (
	// ErrCanary means that a canary cannot begin or go on as things are.
	ErrCanary = errors.New("canary")
	// ErrCanaries means that there are too many.
	ErrCanaries = errors.New("too many canaries")
)

// running is the state of canaries that have not ended.
const running = configstorev1.Canary_STATE_RUNNING

func canaryPath(tenant, id string) string { return canariesRoot + tenant + "/" + id }
func endedPath(tenant, id string) string  { return endedRoot + tenant + "/" + id }

// parseCanaryPath is the inverse of canaryPath.
func parseCanaryPath(key string) (tenant, id string, found bool) {
	rest, found := strings.CutPrefix(key, canariesRoot)
	tenant, id, split := strings.Cut(rest, "/")
	return tenant, id, found && split
}

func decodeCanary(kv *mvccpb.KeyValue) (*configstorev1.Canary, error) {
	c := new(configstorev1.Canary)
	if err := proto.Unmarshal(kv.GetValue(), c); err != nil {
		return nil, fmt.Errorf("canary at %s: %w", kv.GetKey(), err)
	}
	if c.GetRevision() == 0 { // of those put away it is written down
		c.Revision = kv.GetModRevision()
	}
	return c, nil
}

// StartCanary gives the changes of a request to the instances of the plan's
// first step. draft may be empty; else it ends with this.
func (s *Store) StartCanary(ctx context.Context, request Request, plan *configstorev1.Plan) (*configstorev1.Canary, error) {
	changes, err := s.checkCanary(request, plan)
	if err != nil {
		return nil, err
	}
	for range maxApplyTries {
		c, done, err := s.tryStart(ctx, request, changes, plan)
		if done || err != nil {
			return c, err
		}
	}
	return nil, ErrBusy
}

// checkCanary is all that can be said without the store.
func (s *Store) checkCanary(request Request, plan *configstorev1.Plan) ([]*change, error) {
	changes, err := s.check(request)
	if err != nil {
		return nil, err
	}
	var faults object.Faults
	bytes := 0
	for n, c := range changes {
		bytes += len(c.put.GetSpec().GetValue())
		why := noCanary(c.key.Kind)
		if why == "" && s.kinds.IsSecret(c.key.Kind) {
			why = "its kind holds secrets, which canaries would keep as they are"
		}
		if why != "" {
			faults = append(faults, object.Faultf(object.ErrInvalid, fmt.Sprintf("changes[%d]", n), "%s is no object for a canary: %s", c.key, why))
		}
	}
	if len(changes) == 0 || len(changes) > MaxCanaryObjects || bytes > MaxCanaryBytes {
		faults = append(faults, object.Faultf(object.ErrTooLarge, "changes", "%d objects of %d bytes; a canary has 1 to %d of at most %d",
			len(changes), bytes, MaxCanaryObjects, MaxCanaryBytes))
	}
	measured := func(c *change) bool { return !Rendered(c.key.Kind) }
	if len(plan.GetBands()) > 0 && !slices.ContainsFunc(changes, measured) {
		faults = append(faults, object.Faultf(object.ErrInvalid, "plan.bands", "clients of xDS report no health: leave the bands out, rejections still count"))
	}
	share := uint32(0)
	for n, step := range plan.GetSteps() {
		if step.GetSharePpm() <= share {
			faults = append(faults, object.Faultf(object.ErrInvalid, fmt.Sprintf("plan.steps[%d].share_ppm", n), "%d is not above the step before", step.GetSharePpm()))
		}
		share = step.GetSharePpm()
	}
	return changes, faults.Err()
}

// noCanary tells why objects of a kind cannot be in a canary.
func noCanary(kind string) string {
	switch kind {
	case "Grant":
		return "the store itself follows grants"
	case object.SecretKind:
		return "a canary would keep it as it is written; --configstore.xds-canary names the nodes that get a release first"
	}
	return ""
}

// Rendered tells whether gateways get the objects of a kind by xDS.
func Rendered(kind string) bool {
	switch kind {
	case "Route", "Cluster", "Listener", "VerificationKey", object.SecretKind:
		return true
	}
	return false
}

func (s *Store) tryStart(
	ctx context.Context, request Request, changes []*change, plan *configstorev1.Plan,
) (*configstorev1.Canary, bool, error) {
	guardPath := canaryGuardRoot + request.Tenant
	guard, err := s.engine.Range(ctx, &pb.RangeRequest{Key: []byte(guardPath)})
	if err != nil {
		return nil, false, fmt.Errorf("start canary: %w", err)
	}
	others, err := s.liveCanaries(ctx, request.Tenant, 0)
	if err != nil {
		return nil, false, err
	}
	if err := checkOthers(changes, others); err != nil {
		return nil, false, err
	}
	var at look
	if err := s.readState(ctx, changes, &at); err != nil {
		return nil, false, err
	}
	if _, err := s.checkState(ctx, changes, at); err != nil {
		return nil, false, err
	}
	c, compares, err := s.newCanary(request, changes, plan)
	if err != nil {
		return nil, false, err
	}
	var guarded int64
	for _, kv := range guard.GetKvs() {
		guarded = kv.GetModRevision()
	}
	value, err := proto.Marshal(c)
	if err != nil {
		return nil, false, err
	}
	record := canaryPath(request.Tenant, c.GetId())
	txn := &pb.TxnRequest{
		Compare: append(compares, unchanged(guardPath, guarded), unchanged(record, 0)),
		Success: []*pb.RequestOp{putOp(guardPath, nil, 0), putOp(record, value, 0)},
	}
	if with := request.with; with != nil {
		txn.Compare, txn.Success = append(txn.Compare, with.compare), append(txn.Success, with.op)
	}
	done, err := s.writeCanary(ctx, txn, c)
	return c, done, err
}

// checkOthers makes sure that there is room, and that no object is in two.
func checkOthers(changes []*change, others []*configstorev1.Canary) error {
	taken := make(map[[3]string]string)
	count, gateways := 0, ""
	for _, other := range others {
		if other.GetState() != running {
			continue
		}
		count++
		for _, change := range other.GetChanges() {
			key := canary.Key(change)
			taken[[3]string{key.GetKind(), key.GetNamespace(), key.GetName()}] = other.GetId()
			if Rendered(key.GetKind()) {
				gateways = other.GetId()
			}
		}
	}
	for _, c := range changes {
		if other, found := taken[[3]string{c.key.Kind, c.key.Namespace, c.key.Name}]; found {
			return fmt.Errorf("%w: %s: %s is in canary %s; promote or abort it first", ErrCanary, c.path, c.key, other)
		}
	}
	if rendered := slices.ContainsFunc(changes, func(c *change) bool { return Rendered(c.key.Kind) }); rendered && gateways != "" {
		return fmt.Errorf("%w: canary %s of what gateways get by xDS runs, and one does at a time; promote or abort it first", ErrCanary, gateways)
	}
	if count >= MaxCanaries {
		return fmt.Errorf("%w: %d run; promote or abort one first", ErrCanaries, count)
	}
	return nil
}

// newCanary describes the changes that make a difference, and what must be so
// still when it is written.
func (s *Store) newCanary(request Request, changes []*change, plan *configstorev1.Plan) (*configstorev1.Canary, []*pb.Compare, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return nil, nil, fmt.Errorf("make canary id: %w", err)
	}
	now := s.clock().UnixMicro()
	c := &configstorev1.Canary{
		Id: id.String(), Author: request.Author, Reason: request.Reason, CreatedAt: now,
		Plan: plan, State: running, StepAt: now,
	}
	note(c, now, request.Author, "began with step 1")
	var compares []*pb.Compare
	for _, one := range changes {
		if !one.writes() {
			continue
		}
		compares = append(compares, unchanged(one.key.Path(), one.presentRevision()))
		kept := &configstorev1.Change{ExpectedRevision: one.presentRevision()}
		before := one.present
		if before == nil {
			kept.ExpectedRevision = -1
			before = &configstorev1.Object{Key: protoKey(one.key)}
		}
		if one.put == nil {
			kept.Change = &configstorev1.Change_Delete{Delete: protoKey(one.key)}
		} else {
			put := proto.CloneOf(one.put)
			put.Key = protoKey(one.key)
			kept.Change = &configstorev1.Change_Put{Put: put}
		}
		c.Changes, c.Before = append(c.Changes, kept), append(c.Before, before)
	}
	if len(c.GetChanges()) == 0 {
		return nil, nil, fmt.Errorf("%w: nothing differs from what is in force", ErrCanary)
	}
	return c, compares, nil
}

func note(c *configstorev1.Canary, at int64, author, text string) {
	c.Notes = append(c.GetNotes(), &configstorev1.Canary_Note{At: at, Author: author, Text: text})
	if extra := len(c.GetNotes()) - maxNotes; extra > 0 {
		c.Notes = slices.Delete(c.GetNotes(), 1, 1+extra)
	}
}

// writeCanary runs a transaction that makes c what it is; false where
// something had changed.
func (s *Store) writeCanary(ctx context.Context, txn *pb.TxnRequest, c *configstorev1.Canary) (bool, error) {
	beforeApply.Hit()
	written, err := s.engine.Txn(ctx, txn)
	if err != nil {
		return false, fmt.Errorf("write canary %s: %w", c.GetId(), err)
	}
	afterApply.Hit()
	if written.GetSucceeded() {
		c.Revision = written.GetHeader().GetRevision()
	}
	return written.GetSucceeded(), nil
}

// liveCanaries are those of a tenant that run, and a few that have just ended,
// oldest first; at a revision where it is not 0.
func (s *Store) liveCanaries(ctx context.Context, tenant string, revision int64) ([]*configstorev1.Canary, error) {
	all, err := s.canaries(ctx, canariesRoot+tenant+"/", revision)
	if err != nil {
		return nil, err
	}
	list := make([]*configstorev1.Canary, len(all))
	for n, one := range all {
		list[n] = one.Canary
	}
	return list, nil
}

// LiveCanaries are those of all tenants that run, and a few that have just
// ended.
func (s *Store) LiveCanaries(ctx context.Context) ([]canary.Owned, error) {
	return s.canaries(ctx, canariesRoot, 0)
}

func (s *Store) canaries(ctx context.Context, prefix string, revision int64) ([]canary.Owned, error) {
	request := rangePrefix(prefix)
	request.Revision = revision
	response, err := s.engine.Range(ctx, request)
	if err != nil {
		return nil, fmt.Errorf("list canaries: %w", err)
	}
	all := make([]canary.Owned, 0, len(response.GetKvs()))
	for _, kv := range response.GetKvs() {
		c, err := decodeCanary(kv)
		if err != nil {
			return nil, err
		}
		all = append(all, canary.Owned{Tenant: path.Base(path.Dir(string(kv.GetKey()))), Canary: c})
	}
	return all, nil
}

// Canary reads one.
func (s *Store) Canary(ctx context.Context, tenant, id string) (*configstorev1.Canary, error) {
	response, err := s.engine.Txn(ctx, &pb.TxnRequest{Success: []*pb.RequestOp{
		rangeOp(&pb.RangeRequest{Key: []byte(canaryPath(tenant, id))}), rangeOp(&pb.RangeRequest{Key: []byte(endedPath(tenant, id))}),
	}})
	if err != nil {
		return nil, fmt.Errorf("get canary %s: %w", id, err)
	}
	for _, answer := range response.GetResponses() {
		for _, kv := range answer.GetResponseRange().GetKvs() {
			return decodeCanary(kv)
		}
	}
	return nil, fmt.Errorf("canary %s: %w", id, ErrNotFound)
}

// Canaries lists a tenant's, newest first: all that run, and the last that have
// ended.
func (s *Store) Canaries(ctx context.Context, tenant string) ([]*configstorev1.Canary, error) {
	live, err := s.liveCanaries(ctx, tenant, 0)
	if err != nil {
		return nil, err
	}
	ended, err := s.canaries(ctx, endedRoot+tenant+"/", 0)
	if err != nil {
		return nil, err
	}
	for _, one := range ended {
		if !slices.ContainsFunc(live, func(c *configstorev1.Canary) bool { return c.GetId() == one.Canary.GetId() }) {
			live = append(live, one.Canary)
		}
	}
	slices.SortFunc(live, func(a, b *configstorev1.Canary) int { return strings.Compare(b.GetId(), a.GetId()) }) // UUIDv7
	return live, nil
}
