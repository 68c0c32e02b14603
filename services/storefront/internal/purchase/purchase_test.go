package purchase_test

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/backlot-video/backlot/kit/database"
	"github.com/backlot-video/backlot/kit/database/databasetest"
	"github.com/backlot-video/backlot/kit/money"
	coordinatorv1 "github.com/backlot-video/backlot/proto/gen/backlot/coordinator/v1"
	rulesv1 "github.com/backlot-video/backlot/proto/gen/backlot/rules/v1"
	storefrontv1 "github.com/backlot-video/backlot/proto/gen/backlot/storefront/v1"
	tccv1 "github.com/backlot-video/backlot/proto/gen/backlot/tcc/v1"
	"github.com/backlot-video/backlot/services/storefront/internal/order"
	"github.com/backlot-video/backlot/services/storefront/internal/purchase"
	"github.com/backlot-video/backlot/services/storefront/internal/store"
	"github.com/backlot-video/backlot/services/storefront/internal/video"
)

// fakes stand for the services around: rules, the coordinator and the
// broker. The real ones are in the journey of e2e.
type fakes struct {
	verdict    rulesv1.Action
	rulesDown  bool
	end        coordinatorv1.TransactionState
	submitted  []*coordinatorv1.SubmitRequest
	submitDown bool
	facts      []string
}

func (f *fakes) Evaluate(context.Context, *rulesv1.EvaluateRequest) (*rulesv1.EvaluateResponse, error) {
	if f.rulesDown {
		return nil, errors.New("rules are down")
	}
	return &rulesv1.EvaluateResponse{Decision: &rulesv1.Decision{
		Verdict: f.verdict, Fired: []*rulesv1.FiredRule{{Rule: "r", Reason: "REASON"}}, Ruleset: "payments", RulesetVersion: "v1",
	}}, nil
}

func (f *fakes) Submit(_ context.Context, r *coordinatorv1.SubmitRequest) (*coordinatorv1.SubmitResponse, error) {
	f.submitted = append(f.submitted, r)
	if f.submitDown {
		return nil, errors.New("the coordinator is down")
	}
	return &coordinatorv1.SubmitResponse{Transaction: &coordinatorv1.Transaction{
		Xid: r.GetXid(), State: f.end, Problem: "insufficient funds",
	}}, nil
}

func (f *fakes) Add(_ context.Context, _ *sql.Tx, _, fact, _ string, _ proto.Message) error {
	f.facts = append(f.facts, fact)
	return nil
}

type rules struct {
	rulesv1.RulesServiceServer
	*fakes
}

func (r rules) Evaluate(ctx context.Context, req *rulesv1.EvaluateRequest) (*rulesv1.EvaluateResponse, error) {
	return r.fakes.Evaluate(ctx, req)
}

type coordinator struct {
	coordinatorv1.CoordinatorServiceServer
	*fakes
}

func (c coordinator) Submit(ctx context.Context, req *coordinatorv1.SubmitRequest) (*coordinatorv1.SubmitResponse, error) {
	return c.fakes.Submit(ctx, req)
}

type bench struct {
	*fakes
	driver *purchase.Driver
	store  *store.Store
	db     *database.DB
	now    time.Time
}

func newBench(t *testing.T) *bench {
	t.Helper()
	cfg := databasetest.Config(t, database.SQLite, "storefront")
	migrations, err := databasetest.With("storefront", "")
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{
		fakes: &fakes{verdict: rulesv1.Action_ACTION_ALLOW, end: coordinatorv1.TransactionState_TRANSACTION_STATE_CONFIRMED},
		now:   time.Unix(1_800_000_000, 0),
	}
	b.db = databasetest.Open(t, cfg, migrations)
	b.store = store.New(b.db)
	b.driver = &purchase.Driver{
		Store: b.store, Rules: rules{fakes: b.fakes}, Coordinator: coordinator{fakes: b.fakes}, Outbox: b.fakes,
		Clock: func() time.Time { return b.now }, Log: slog.New(slog.DiscardHandler),
	}
	err = b.store.Write(t.Context(), func(ctx context.Context, tx store.Tx) error {
		for _, id := range []string{"creator", "viewer"} {
			if _, err := tx.InsertAccount(ctx, store.Account{ID: id, TenantID: "main", Role: 1, ExternalRef: id, CreatedAt: b.now}); err != nil {
				return err
			}
		}
		v := video.Video{ID: "video", TenantID: "main", CreatorID: "creator", Title: "T", State: video.Draft, CreatedAt: b.now}
		if _, err := tx.InsertVideo(ctx, v); err != nil {
			return err
		}
		v.Transcoded(video.Media{Prefix: "p/"}, b.now)
		if err := v.Publish(money.Amount{Minor: 499, Currency: "USD"}, b.now); err != nil {
			return err
		}
		return tx.UpdateVideo(ctx, v)
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *bench) request(key string) purchase.Request {
	return purchase.Request{TenantID: "main", ViewerID: "viewer", VideoID: "video", IdempotencyKey: key}
}

func TestAnAllowedOrderIsPaidOnce(t *testing.T) {
	b := newBench(t)
	first, err := b.driver.Create(t.Context(), b.request("k"))
	if err != nil || first.State != order.Paid {
		t.Fatalf("got %+v, %v", first, err)
	}
	again, err := b.driver.Create(t.Context(), b.request("k"))
	if err != nil || again.ID != first.ID {
		t.Errorf("a repeat made %s beside %s, %v", again.ID, first.ID, err)
	}
	if len(b.submitted) != 1 || b.submitted[0].GetXid() != first.ID {
		t.Errorf("submitted %d transactions", len(b.submitted))
	}
	if len(b.facts) != 1 || b.facts[0] != "order_paid" {
		t.Errorf("facts: %v", b.facts)
	}
}

func TestADeniedOrderIsNeverSubmitted(t *testing.T) {
	b := newBench(t)
	for verdict, want := range map[rulesv1.Action]order.State{
		rulesv1.Action_ACTION_DENY: order.Refused, rulesv1.Action_ACTION_REVIEW: order.Review,
	} {
		b.verdict = verdict
		o, err := b.driver.Create(t.Context(), b.request(verdict.String()))
		if err != nil || o.State != want || o.Problem == "" {
			t.Errorf("%s: got %+v, %v", verdict, o, err)
		}
	}
	if len(b.submitted) > 0 {
		t.Errorf("submitted %v", b.submitted)
	}
}

func TestACancelledTransactionRefusesTheOrderWithItsReason(t *testing.T) {
	b := newBench(t)
	b.end = coordinatorv1.TransactionState_TRANSACTION_STATE_CANCELLED
	o, err := b.driver.Create(t.Context(), b.request("k"))
	if err != nil || o.State != order.Refused || o.Problem != "insufficient funds" {
		t.Errorf("got %+v, %v", o, err)
	}
}

func TestAnOrderGoesOnWhenTheOthersAreBack(t *testing.T) {
	b := newBench(t)
	b.rulesDown = true
	if _, err := b.driver.Create(t.Context(), b.request("k")); !errors.Is(err, purchase.ErrUnavailable) {
		t.Fatalf("err = %v", err)
	}
	b.rulesDown, b.submitDown = false, true
	o, err := b.driver.Create(t.Context(), b.request("k"))
	if !errors.Is(err, purchase.ErrUnavailable) || o.State != order.Paying {
		t.Fatalf("got %+v, %v", o, err)
	}
	b.submitDown = false
	ctx, stop := context.WithTimeout(t.Context(), 10*time.Second)
	defer stop()
	done := make(chan error, 1)
	go func() { done <- b.driver.Recover(ctx) }()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for range tick.C {
		if ctx.Err() != nil {
			break
		}
		if got, err := b.store.Order(t.Context(), "main", o.ID); err != nil || got.State == order.Paid {
			break
		}
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if got, err := b.store.Order(t.Context(), "main", o.ID); err != nil || got.State != order.Paid {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestPatienceEndsWithoutARiskDecision(t *testing.T) {
	b := newBench(t)
	b.rulesDown = true
	o, err := b.driver.Create(t.Context(), b.request("k"))
	if !errors.Is(err, purchase.ErrUnavailable) {
		t.Fatalf("err = %v", err)
	}
	b.now = b.now.Add(11 * time.Minute)
	if o, err = b.driver.Advance(t.Context(), o); err != nil || o.State != order.Refused {
		t.Errorf("got %+v, %v", o, err)
	}
}

func TestWhatCannotBeBoughtLeavesNoOrder(t *testing.T) {
	b := newBench(t)
	other := int64(399)
	for name, c := range map[string]struct {
		change func(*purchase.Request)
		want   error
	}{
		"unknown video": {func(r *purchase.Request) { r.VideoID = "none" }, store.ErrNotFound},
		"own video":     {func(r *purchase.Request) { r.ViewerID = "creator" }, order.ErrOwnVideo},
		"other price":   {func(r *purchase.Request) { r.ExpectedMinor, r.ExpectedCurrency = &other, "USD" }, order.ErrPriceChanged},
	} {
		r := b.request(name)
		c.change(&r)
		if _, err := b.driver.Create(t.Context(), r); !errors.Is(err, c.want) {
			t.Errorf("%s: err = %v, want %v", name, err, c.want)
		}
	}
	if orders, err := b.store.Orders(t.Context(), "main", "", store.LastPage, 10); err != nil || len(orders) != 0 {
		t.Errorf("orders: %v, %v", orders, err)
	}
}

func TestTheBranchReservesGrantsAndReleases(t *testing.T) {
	b := newBench(t)
	payload, err := anypb.New(&storefrontv1.EntitleBranch{OrderId: "o", ViewerId: "viewer", VideoId: "video"})
	if err != nil {
		t.Fatal(err)
	}
	branch := &tccv1.Branch{Xid: "o", BranchId: "entitle", TenantId: "main", Action: "entitle", Payload: payload}
	entitle := b.driver.Actions()["entitle"]
	call := func(work func(context.Context, *sql.Tx, *tccv1.Branch) error) error {
		return b.db.Write(t.Context(), func(ctx context.Context, tx *sql.Tx) error { return work(ctx, tx, branch) })
	}
	state := func() order.EntitlementState {
		e, err := b.store.Entitlement(t.Context(), "main", "viewer", "video")
		if err != nil || e == nil {
			t.Fatalf("got %v, %v", e, err)
		}
		return e.State
	}
	if err := call(entitle.Try); err != nil || state() != order.Reserved {
		t.Fatalf("try: %v", err)
	}
	if err := call(entitle.Cancel); err != nil || state() != order.Released {
		t.Fatalf("cancel: %v", err)
	}
	if err := errors.Join(call(entitle.Try), call(entitle.Confirm)); err != nil || state() != order.Granted {
		t.Fatalf("confirm: %v", err)
	}
	if err := call(entitle.Try); !errors.Is(err, order.ErrOwned) {
		t.Errorf("a second try of what is owned: %v", err)
	}
}

// revoke does the branch `revoke` as the coordinator would.
func (b *bench) revoke(t *testing.T, o order.Order, xid string) error {
	t.Helper()
	payload, err := anypb.New(&storefrontv1.EntitleBranch{OrderId: o.ID, ViewerId: o.ViewerID, VideoId: o.VideoID})
	if err != nil {
		t.Fatal(err)
	}
	branch := &tccv1.Branch{Xid: xid, BranchId: "revoke", TenantId: "main", Action: "revoke", Payload: payload}
	actions := b.driver.Actions()["revoke"]
	return b.db.Write(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
		if err := actions.Try(ctx, tx, branch); err != nil {
			return err
		}
		return actions.Confirm(ctx, tx, branch)
	})
}

func TestARefundRevokesAndMovesThePaidOrder(t *testing.T) {
	b := newBench(t)
	o, err := b.driver.Create(t.Context(), b.request("k"))
	if err != nil {
		t.Fatal(err)
	}
	if err := b.revoke(t, o, "early"); !errors.Is(err, order.ErrNotPaid) {
		t.Errorf("nothing was granted, and yet: %v", err)
	}
	err = b.store.Write(t.Context(), func(ctx context.Context, tx store.Tx) error {
		return tx.PutEntitlement(ctx, order.Entitlement{
			TenantID: "main", ViewerID: o.ViewerID, VideoID: o.VideoID, OrderID: o.ID, State: order.Granted, UpdatedAt: b.now,
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	b.end = coordinatorv1.TransactionState_TRANSACTION_STATE_CANCELLED
	if _, err := b.driver.Refund(t.Context(), "main", o.ID, "k", false); !errors.Is(err, order.ErrRefund) || !strings.Contains(err.Error(), "insufficient funds") {
		t.Errorf("got %v, want ErrRefund with the reason", err)
	}
	b.submitDown = true
	if _, err := b.driver.Refund(t.Context(), "main", o.ID, "k", true); !errors.Is(err, purchase.ErrUnavailable) {
		t.Errorf("got %v, want ErrUnavailable", err)
	}
	last := b.submitted[len(b.submitted)-1]
	if last.GetXid() != "refund-"+o.ID+"-k" || last.GetBranches()[1].GetAction() != "chargeback" || last.GetBranches()[0].GetAction() != "revoke" {
		t.Errorf("submitted %v", last)
	}
	if err := b.revoke(t, o, "now"); err != nil {
		t.Fatal(err)
	}
	submitted := len(b.submitted)
	again, err := b.driver.Refund(t.Context(), "main", o.ID, "k", false) // is refunded: nothing to submit
	if err != nil || again.State != order.Refunded || len(b.submitted) != submitted {
		t.Errorf("got %+v, %v", again, err)
	}
	if e, err := b.store.Entitlement(t.Context(), "main", o.ViewerID, o.VideoID); err != nil || e.State != order.Revoked {
		t.Errorf("entitlement %+v, %v", e, err)
	}
	if len(b.facts) != 2 || b.facts[1] != "order_refunded" {
		t.Errorf("facts %v", b.facts)
	}
	if _, err := b.driver.Refund(t.Context(), "main", "none", "k", false); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("got %v", err)
	}
	b.verdict = rulesv1.Action_ACTION_DENY
	denied, err := b.driver.Create(t.Context(), b.request("denied"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.driver.Refund(t.Context(), "main", denied.ID, "k", false); !errors.Is(err, order.ErrNotPaid) {
		t.Errorf("a denied order: %v", err)
	}
}
