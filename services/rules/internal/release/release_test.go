package release

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/backlot-video/backlot/kit/identity"
	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	eventv1 "github.com/backlot-video/backlot/proto/gen/backlot/event/v1"
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

func TestAReleaseGoesStepByStepAndBack(t *testing.T) {
	b := newBench(t)
	ctx := identity.With(t.Context(), identity.Principal{Kind: identity.Operator, ID: "o", TenantID: "main"})
	one, two := b.version(t, "review"), b.version(t, "challenge")
	if spec := b.start(t, one, full); spec.GetLiveVersion() != one || b.judged(t, 1) != one {
		t.Fatalf("the first version: %v", spec)
	}
	b.start(t, two, shadow, canary)
	if b.judged(t, 1) != one {
		t.Error("a version in shadow answers")
	}
	for _, want := range []rulesv1.Stage{rulesv1.Stage_STAGE_CANARY, rulesv1.Stage_STAGE_FULL} {
		spec, err := b.Promote(ctx, "payments", nil, "on")
		if err != nil || spec.GetRollout().GetStep().GetStage() != want {
			t.Fatalf("%v, %v", spec, err)
		}
	}
	if b.judged(t, 1) != two {
		t.Error("a version in full does not answer")
	}
	if _, err := b.Promote(ctx, "payments", nil, ""); !errors.Is(err, ErrState) {
		t.Errorf("nothing runs any more: %v", err)
	}
	spec, err := b.Rollback(ctx, "payments", "", "back")
	if err != nil || spec.GetLiveVersion() != one || len(spec.GetPreviousVersions()) != 0 || b.judged(t, 1) != one {
		t.Errorf("%v, %v", spec, err)
	}
	if spec.GetRollout().GetState() != rulesv1.Rollout_STATE_ROLLED_BACK {
		t.Errorf("got %v", spec.GetRollout())
	}
	if _, err := b.Rollback(ctx, "payments", "", "further"); !errors.Is(err, ErrState) {
		t.Errorf("nothing is before the first: %v", err)
	}
	if spec, err = b.Rollback(ctx, "payments", two, "forth"); err != nil || spec.GetLiveVersion() != two {
		t.Errorf("%v, %v", spec, err)
	}
	for i, step := range spec.GetLog() {
		if step.GetNumber() != uint64(i+1) {
			t.Errorf("step %d has number %d", i+1, step.GetNumber())
		}
	}
	if last := spec.GetLog()[len(spec.GetLog())-1]; last.GetAuthor() != "operator/o" || last.GetReason() != "forth" {
		t.Errorf("got %v", last)
	}
}

func TestASourceOfTheRulesetItselfBecomesAVersionToReturnTo(t *testing.T) {
	b := newBench(t)
	inline := "rule a when viewer_id == \"x\" then deny"
	changes, err := appendPut(nil, rulesetKind, "payments", &rulesv1.Ruleset{FactType: factType, Source: inline}, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Store.apply(t.Context(), "simple", changes); err != nil || b.judged(t, 1) != "revision-1" {
		t.Fatalf("the simple way: %v", err)
	}
	b.start(t, b.version(t, "review"), full)
	spec, err := b.Rollback(t.Context(), "payments", "", "back")
	if err != nil || spec.GetLiveVersion() != NameOf("payments", factType, inline) || b.judged(t, 1) != spec.GetLiveVersion() {
		t.Errorf("%v, %v", spec, err)
	}
}

func TestWhatCannotBeReleasedIsRefusedByField(t *testing.T) {
	b := newBench(t)
	ctx := t.Context()
	if draft, err := b.CreateVersion(ctx, "payments", factType, "rule a when amuont > 5 then deny", ""); err != nil || draft.Version != "" || len(draft.Checked.Errors) != 1 {
		t.Errorf("a bad source: %+v, %v", draft, err)
	}
	if draft, err := b.CreateVersion(ctx, "payments", factType, "test \"t\" given {} expect deny", ""); err != nil || draft.Version != "" || len(b.alarms) != 2 {
		t.Errorf("a failing test: %+v, %v, %d alarms", draft, err, len(b.alarms))
	}
	if _, err := b.CreateVersion(ctx, "new", "", "", ""); !errors.Is(err, ErrInvalid) {
		t.Errorf("no fact type: %v", err)
	}
	one := b.version(t, "review")
	begin := func(version, by string, labels map[string]string, steps ...*rulesv1.Step) error {
		_, err := b.StartRollout(ctx, &rulesv1.StartRolloutRequest{Version: version, CanaryBy: by, Labels: labels, Steps: steps, Reason: "x"})
		return err
	}
	if err := begin(one, "", nil, shadow); !errors.Is(err, ErrState) {
		t.Errorf("nothing to compare with: %v", err)
	}
	b.start(t, one, full)
	two := b.version(t, "deny")
	for name, test := range map[string]struct {
		err  error
		want error
		text string
	}{
		"unknown version": {begin("payments.000000000000", "", nil, shadow), ErrUnknownVersion, "payments.0"},
		"in force":        {begin(one, "", nil, shadow), ErrState, "in force already"},
		"unknown field":   {begin(two, "viewer", nil, canary), ErrInvalid, "canary_by"},
		"no field":        {begin(two, "", nil, canary), ErrInvalid, "canary_by"},
		"no share":        {begin(two, "", nil, &rulesv1.Step{Stage: rulesv1.Stage_STAGE_CANARY}), ErrInvalid, "steps[0].canary_ppm"},
		"backwards":       {begin(two, "viewer_id", nil, canary, shadow), ErrInvalid, "steps[1].stage"},
		"after full":      {begin(two, "", nil, full, full), ErrInvalid, "steps[1].stage"},
	} {
		if !errors.Is(test.err, test.want) || !strings.Contains(test.err.Error(), test.text) {
			t.Errorf("%s: %v", name, test.err)
		}
	}
	if err := begin(two, "", map[string]string{"ring": "early"}, &rulesv1.Step{Stage: rulesv1.Stage_STAGE_CANARY}); err != nil {
		t.Errorf("by labels: %v", err)
	}
	if _, err := b.Promote(ctx, "none", nil, ""); !errors.Is(err, ErrUnknownRuleset) {
		t.Errorf("got %v", err)
	}
	if _, err := (&Manager{Catalog: b.Catalog}).Rollback(ctx, "payments", "", "x"); !errors.Is(err, ErrNoConfigstore) {
		t.Errorf("got %v", err)
	}
}

func TestARolloutThatLeavesItsBandIsTakenBackByItself(t *testing.T) {
	for name, step := range map[string]*rulesv1.Step{"shadow": shadow, "full": {Stage: rulesv1.Stage_STAGE_FULL, HoldSeconds: 3600}} {
		b := newBench(t)
		one, two := b.version(t, "allow"), b.version(t, "deny")
		b.start(t, one, full)
		b.start(t, two, step)
		b.judged(t, 9)
		b.controller.Step(t.Context())
		if !isRunning(b.spec(t)) {
			t.Fatalf("%s: taken back after 9 facts", name)
		}
		b.judged(t, 1)
		b.objects.refuse = connect.NewError(connect.CodeUnavailable, errors.New("down"))
		b.controller.Step(t.Context())
		if answered := b.judged(t, 1); answered != one || !isRunning(b.spec(t)) {
			t.Errorf("%s: with the configstore down, %s answers", name, answered)
		}
		b.now = b.now.Add(applyPause)
		b.controller.Step(t.Context())
		spec := b.spec(t)
		if isRunning(spec) || spec.GetLiveVersion() != one || b.judged(t, 1) != one {
			t.Errorf("%s: not taken back: %v", name, spec)
		}
		last := spec.GetLog()[len(spec.GetLog())-1]
		if last.GetAuthor() != "service/rules" || !strings.Contains(last.GetReason(), "band left: deny rate 100.00%") {
			t.Errorf("%s: told as %v", name, last)
		}
	}
}

func TestARolloutThatAReplicaCannotLoadEnds(t *testing.T) {
	for name, test := range map[string]struct {
		gone int // which version's object is lost
		step *rulesv1.Step
		live int // in force then
		kind rulesv1.Transition_Kind
	}{
		"the new one in shadow":  {1, shadow, 0, rulesv1.Transition_KIND_ROLLED_BACK},
		"the former one in full": {0, &rulesv1.Step{Stage: rulesv1.Stage_STAGE_FULL, HoldSeconds: 3600}, 1, rulesv1.Transition_KIND_COMPLETED},
	} {
		b := newBench(t)
		versions := [2]string{b.version(t, "review"), b.version(t, "challenge")}
		b.start(t, versions[0], full)
		b.start(t, versions[1], test.step)
		// Another replica, which has not got it and nothing on its disk.
		other := newBench(t)
		other.Store, other.controller.Store, other.now = b.Store, b.Store, b.now
		for i, version := range versions {
			if i != test.gone {
				other.Follower.PutVersion(version, b.Follower.versions[version])
			}
		}
		other.Follower.PutRuleset("payments", "", b.spec(t), false)
		other.controller.Step(t.Context())
		if !isRunning(b.spec(t)) {
			t.Errorf("%s: ended at once", name)
		}
		other.now = other.now.Add(loadTime + time.Second)
		other.controller.Step(t.Context())
		spec := b.spec(t)
		last := spec.GetLog()[len(spec.GetLog())-1]
		if isRunning(spec) || spec.GetLiveVersion() != versions[test.live] || last.GetKind() != test.kind || !strings.Contains(last.GetReason(), "has not arrived") {
			t.Errorf("%s: %v", name, spec)
		}
	}
}

func TestStepsFollowByThemselvesOnEvidence(t *testing.T) {
	b := newBench(t)
	one, two := b.version(t, "review"), b.version(t, "challenge")
	b.start(t, one, full)
	hold := func(step *rulesv1.Step) *rulesv1.Step {
		return &rulesv1.Step{Stage: step.GetStage(), CanaryPpm: step.GetCanaryPpm(), HoldSeconds: 60}
	}
	b.start(t, two, hold(shadow), hold(canary), hold(full))
	b.now = b.now.Add(time.Hour)
	b.controller.Step(t.Context())
	if stage := b.spec(t).GetRollout().GetStep().GetStage(); stage != rulesv1.Stage_STAGE_SHADOW {
		t.Fatalf("in %v without a fact", stage)
	}
	for _, want := range []rulesv1.Rollout_State{running, running, rulesv1.Rollout_STATE_COMPLETED} {
		b.judged(t, 10)
		b.now = b.now.Add(time.Minute)
		b.controller.Step(t.Context())
		if state := b.spec(t).GetRollout().GetState(); state != want {
			t.Fatalf("%v, want %v", b.spec(t), want)
		}
	}
	if spec := b.spec(t); spec.GetLiveVersion() != two || len(spec.GetLog()) != 5 {
		t.Errorf("got %v", spec)
	}
}

func TestOnlyOneOfManyChangesWins(t *testing.T) {
	b := newBench(t)
	one, two := b.version(t, "review"), b.version(t, "deny")
	b.start(t, one, full)
	b.start(t, two, shadow)
	b.judged(t, 10)
	// An operator rolls back in the moment in which the replica does.
	b.objects.before = func() {
		if _, err := b.Rollback(t.Context(), "payments", "", "by hand"); err != nil {
			t.Error(err)
		}
	}
	b.controller.Step(t.Context())
	if spec := b.spec(t); spec.GetRollout().GetReason() != "by hand" || len(spec.GetLog()) != 3 || spec.GetLiveVersion() != one {
		t.Errorf("got %v", spec)
	}
}

func TestAReplicaWaitsForAVersionThatIsOnItsWay(t *testing.T) {
	b := newBench(t)
	b.start(t, b.version(t, "review"), full)
	live := b.judged(t, 1)
	_, version, err := newVersion("payments", factType, "rule a when viewer_id == \"x\" then deny", By{Now: b.now})
	if err != nil {
		t.Fatal(err)
	}
	name := NameOf("payments", factType, "rule a when viewer_id == \"x\" then deny")
	spec := &rulesv1.Ruleset{FactType: factType, LiveVersion: name}
	b.Follower.PutRuleset("payments", "", spec, true)
	if b.judged(t, 1) != live || len(b.alarms) != 0 {
		t.Error("it did not wait")
	}
	b.Follower.PutVersion(name, version)
	if b.judged(t, 1) != name {
		t.Error("it did not take the version up")
	}
	b.Follower.PutRuleset("payments", "", &rulesv1.Ruleset{FactType: factType, LiveVersion: "payments.gone"}, true)
	b.now = b.now.Add(patience + 1)
	b.Follower.Settle()
	if b.judged(t, 1) != name || len(b.alarms) != 1 {
		t.Errorf("%d alarms of a version that does not come", len(b.alarms))
	}
	version.SourceGzip = version.SourceGzip[:len(version.SourceGzip)-1]
	b.Follower.DeleteVersion(name)
	b.Follower.PutVersion(name, version)
	b.Follower.PutRuleset("payments", "", spec, true)
	if status := b.Catalog.Status(); status[0].Version != name || status[0].Rejected != "" {
		t.Errorf("a torn version that is in force already: %+v", status)
	}
}

func TestPackIsBoundedBothWays(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var hard strings.Builder
	for hard.Len() < 2<<20 {
		hard.WriteByte(byte(' ' + random.IntN(90)))
	}
	if _, err := Pack(hard.String()); !errors.Is(err, ErrInvalid) {
		t.Errorf("2 MiB of noise: %v", err)
	}
	if _, err := Pack(strings.Repeat("#", MaxSource+1)); !errors.Is(err, ErrInvalid) {
		t.Errorf("above the limit: %v", err)
	}
	bomb, err := Pack(strings.Repeat("#", MaxSource))
	if err != nil {
		t.Fatal(err)
	}
	if source, err := Unpack(bomb); err != nil || len(source) != MaxSource {
		t.Errorf("%d bytes, %v", len(source), err)
	}
	for name, packed := range map[string][]byte{"empty": nil, "noise": []byte("noise"), "torn": bomb[:len(bomb)/2]} {
		if _, err := Unpack(packed); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Unpack(append(append([]byte(nil), bomb...), bomb...)); !errors.Is(err, ErrInvalid) {
		t.Errorf("two members above the limit: %v", err)
	}
}

func TestStepsAreToldOnceAndAfterACrash(t *testing.T) {
	b := newBench(t)
	b.start(t, b.version(t, "review"), full)
	b.start(t, b.version(t, "deny"), shadow)
	file := filepath.Join(t.TempDir(), "told.json")
	var told []string
	var down error
	teller := func() *Teller {
		return NewTeller(TellerConfig{
			Follower: b.Follower, File: file, Log: slog.New(slog.DiscardHandler), Clock: func() time.Time { return b.now },
			Publish: func(_ context.Context, envelope *eventv1.Envelope) error {
				if down != nil && len(told) == 1 {
					return down
				}
				told = append(told, envelope.GetId())
				return nil
			},
		})
	}
	down = errors.New("the broker is away")
	if err := teller().tellSteps(t.Context()); !errors.Is(err, down) || len(told) != 1 {
		t.Fatalf("%v, %d told", err, len(told))
	}
	down = nil
	b.now = b.now.Add(24 * time.Hour) // as late as it may be
	again := teller()
	for range 2 {
		if err := again.tellSteps(t.Context()); err != nil || len(told) != 2 || told[0] == told[1] {
			t.Fatalf("%v, told %v", err, told)
		}
	}
	// Who has forgotten tells under the same ids what is new, and no more.
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if err := teller().tellSteps(t.Context()); err != nil || len(told) != 2 {
		t.Errorf("%v, told %v", err, told)
	}
	b.now = b.now.Add(-24 * time.Hour)
	if err := teller().tellSteps(t.Context()); err != nil || len(told) != 4 || told[2] != told[0] || told[3] != told[1] {
		t.Errorf("%v, told %v", err, told)
	}
}

func TestAlarmsAreBounded(t *testing.T) {
	b := newBench(t)
	teller := NewTeller(TellerConfig{
		Follower: b.Follower, File: filepath.Join(t.TempDir(), "told.json"), Log: slog.New(slog.DiscardHandler), Clock: time.Now,
	})
	for range maxAlarms + 5 {
		teller.Refused(catalog.Refusal{Ruleset: "r", Reason: strings.Repeat("高", 2000)})
	}
	if waiting := teller.takeAlarms(); len(waiting) != maxAlarms {
		t.Errorf("%d wait", len(waiting))
	}
}

func TestWebhooksAreSignedAndRepeatable(t *testing.T) {
	secret := []byte("0123456789abcdef")
	type delivery struct {
		header http.Header
		body   []byte
	}
	var got []delivery
	status := http.StatusInternalServerError
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = append(got, delivery{r.Header, body})
		if status == http.StatusFound {
			w.Header().Set("Location", "http://127.0.0.1:1/elsewhere")
		}
		w.WriteHeader(status)
	}))
	defer server.Close()
	sent := HookMetrics(nil)
	hook, err := NewHook(server.URL+"/hook?token=hush", secret, func() time.Time { return time.Unix(1_700_000_000, 0) }, sent)
	if err != nil {
		t.Fatal(err)
	}
	envelope, err := envelopeOf(ReleasedType, "payments", 1, &rulesv1.RulesetReleased{Ruleset: "payments", Transition: &rulesv1.Transition{Number: 3}}, "3")
	if err != nil {
		t.Fatal(err)
	}
	for _, status = range []int{http.StatusInternalServerError, http.StatusFound} {
		if err := hook.Send(t.Context(), envelope); !errors.Is(err, ErrWebhook) || strings.Contains(err.Error(), "hush") {
			t.Errorf("%d: %v", status, err)
		}
	}
	status = http.StatusNoContent
	if err := hook.Send(t.Context(), envelope); err != nil || len(got) != 3 {
		t.Fatalf("%v after %d requests", err, len(got))
	}
	last := got[2]
	want := "v1=" + hex.EncodeToString(Sign(secret, "1700000000", last.body))
	if last.header.Get(HeaderSignature) != want || last.header.Get(HeaderTimestamp) != "1700000000" || last.header.Get(HeaderDelivery) != got[0].header.Get(HeaderDelivery) {
		t.Errorf("headers %v", last.header)
	}
	if !strings.Contains(string(last.body), `"ruleset":"payments"`) || last.header.Get(HeaderEvent) != ReleasedType {
		t.Errorf("body %s", last.body)
	}
	server.Close()
	if err := hook.Send(t.Context(), envelope); !errors.Is(err, ErrWebhook) || strings.Contains(err.Error(), "hush") {
		t.Errorf("nobody there: %v", err)
	}
	if err := hook.Consumer().Validate(); err != nil {
		t.Error(err)
	}
}

func TestWebhooksGoNowhereElse(t *testing.T) {
	secret := []byte("0123456789abcdef")
	for _, address := range []string{"", "hook", "http://example.com/x", "ftp://127.0.0.1", "https://user:hush@example.com", "https://", "http://127.0.0.1.example.com/", "\x00hush"} {
		if _, err := NewHook(address, secret, nil, nil); !errors.Is(err, ErrWebhook) || strings.Contains(err.Error(), "hush") {
			t.Errorf("%q: %v", address, err)
		}
	}
	for _, address := range []string{"https://example.com/x", "http://localhost:1", "http://[::1]:1/x"} {
		if _, err := NewHook(address, secret, nil, nil); err != nil {
			t.Errorf("%q: %v", address, err)
		}
	}
	if _, err := NewHook("https://example.com/x", secret[1:], nil, nil); !errors.Is(err, ErrWebhook) {
		t.Errorf("a short secret: %v", err)
	}
}
