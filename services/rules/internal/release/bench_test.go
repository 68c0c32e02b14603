package release

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"

	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	rulesv1 "github.com/backlot-video/backlot/proto/gen/backlot/rules/v1"
	"github.com/backlot-video/backlot/services/rules"
	"github.com/backlot-video/backlot/services/rules/internal/catalog"
)

var (
	factType = string((*rulesv1.PaymentFact)(nil).ProtoReflect().Descriptor().FullName())

	shadow = &rulesv1.Step{Stage: rulesv1.Stage_STAGE_SHADOW}
	canary = &rulesv1.Step{Stage: rulesv1.Stage_STAGE_CANARY, CanaryPpm: 50_000}
	full   = &rulesv1.Step{Stage: rulesv1.Stage_STAGE_FULL}
)

// objects is a configstore in memory that tells a follower of each change.
type objects struct {
	configstorev1.ConfigServiceServer
	follower *Follower

	mu       sync.Mutex
	revision int64
	stored   map[string]*configstorev1.Object
	refuse   error // of the next Apply
	before   func()
}

func id(key *configstorev1.Key) string {
	return key.GetKind() + " " + JoinName(key.GetNamespace(), key.GetName())
}

func (o *objects) Get(_ context.Context, request *configstorev1.GetRequest) (*configstorev1.GetResponse, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if found := o.stored[id(request.GetKey())]; found != nil {
		return &configstorev1.GetResponse{Object: found}, nil
	}
	return nil, connect.NewError(connect.CodeNotFound, errors.New("not found"))
}

func (o *objects) Apply(_ context.Context, request *configstorev1.ApplyRequest) (*configstorev1.ApplyResponse, error) {
	if before := o.before; before != nil {
		o.before = nil
		before()
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := o.refuse; err != nil {
		o.refuse = nil
		return nil, err
	}
	for _, change := range request.GetChanges() {
		found := o.stored[id(change.GetPut().GetKey())].GetRevision()
		if expected := change.GetExpectedRevision(); expected > 0 && expected != found || expected == -1 && found != 0 {
			return nil, connect.NewError(connect.CodeAborted, errors.New("conflict"))
		}
	}
	o.revision++
	for _, change := range request.GetChanges() {
		put := change.GetPut()
		if put == nil {
			delete(o.stored, id(change.GetDelete()))
			continue
		}
		put.Revision = o.revision
		o.stored[id(put.GetKey())] = put
		name := JoinName(put.GetKey().GetNamespace(), put.GetKey().GetName())
		message, err := put.GetSpec().UnmarshalNew()
		if err != nil {
			return nil, err
		}
		switch spec := message.(type) {
		case *rulesv1.Ruleset:
			o.follower.PutRuleset(name, fmt.Sprint("revision-", o.revision), spec, true)
		case *rulesv1.RulesetVersion:
			o.follower.PutVersion(name, spec)
		}
	}
	return &configstorev1.ApplyResponse{}, nil
}

// bench is a replica with everything but the network.
type bench struct {
	*Manager
	objects    *objects
	controller *Controller
	now        time.Time
	alarms     []catalog.Refusal
}

func newBench(t *testing.T) *bench {
	b := &bench{now: time.UnixMicro(1_700_000_000_000_000)}
	clock := func() time.Time { return b.now }
	refused := func(r catalog.Refusal) { b.alarms = append(b.alarms, r) }
	c := catalog.New(catalog.Config{Dir: t.TempDir(), Clock: clock, Refused: refused})
	if err := c.AddBuiltin((*rulesv1.PaymentFact)(nil).ProtoReflect().Descriptor()); err != nil {
		t.Fatal(err)
	}
	follower := NewFollower(c, clock)
	b.objects = &objects{follower: follower, stored: map[string]*configstorev1.Object{}}
	b.Manager = &Manager{Catalog: c, Follower: follower, Store: NewStore(b.objects, clock), Refused: refused}
	b.controller = &Controller{Catalog: c, Follower: follower, Store: b.Store, Log: slog.New(slog.DiscardHandler), Clock: clock}
	b.controller.prepare()
	return b
}

// version keeps a source of one rule that fires for a viewer.
func (b *bench) version(t *testing.T, action string) string {
	t.Helper()
	draft, err := b.CreateVersion(t.Context(), "payments", factType, "rule a when viewer_id == \"x\" then "+action, "test")
	if err != nil || draft.Version == "" {
		t.Fatalf("%v, %+v", err, draft.Checked)
	}
	return draft.Version
}

func (b *bench) start(t *testing.T, version string, steps ...*rulesv1.Step) *rulesv1.Ruleset {
	t.Helper()
	b.now = b.now.Add(time.Second)
	spec, err := b.StartRollout(t.Context(), &rulesv1.StartRolloutRequest{
		Version: version, Steps: steps, CanaryBy: "viewer_id", Reason: "test", Bands: &rulesv1.Bands{MinSample: 10},
	})
	if err != nil {
		t.Fatal(err)
	}
	return spec
}

// judged evaluates facts and returns the version that answered the last.
func (b *bench) judged(t *testing.T, facts int) string {
	t.Helper()
	var d rules.Decision
	for range facts {
		if err := b.Catalog.Evaluate(&catalog.Query{FactType: factType, JSON: []byte(`{"viewer_id": "x"}`)}, &d); err != nil {
			t.Fatal(err)
		}
	}
	return d.Version
}

func (b *bench) spec(t *testing.T) *rulesv1.Ruleset {
	t.Helper()
	spec, _, err := b.Store.Ruleset(t.Context(), "payments")
	if err != nil {
		t.Fatal(err)
	}
	return spec
}
