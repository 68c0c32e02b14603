package api

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/backlot-video/backlot/kit/admission"
	"github.com/backlot-video/backlot/kit/identity"
	"github.com/backlot-video/backlot/kit/rpc"
	"github.com/backlot-video/backlot/kit/tcc"
	settlementv1 "github.com/backlot-video/backlot/proto/gen/backlot/settlement/v1"
	tccv1 "github.com/backlot-video/backlot/proto/gen/backlot/tcc/v1"
	"github.com/backlot-video/backlot/proto/rpcdesc"
	"github.com/backlot-video/backlot/services/settlement/internal/cashier"
	"github.com/backlot-video/backlot/services/settlement/internal/engine"
	"github.com/backlot-video/backlot/services/settlement/internal/payment"
	"github.com/backlot-video/backlot/services/settlement/internal/store"
)

// behind puts a gate before a house's ledgers.
func behind(t *testing.T, h *house, cfg admission.Config) *admission.Gate {
	t.Helper()
	cfg.Service = "settlement"
	gate, err := admission.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	s, log := store.New(h.db), slog.New(slog.DiscardHandler)
	e := engine.New(s, engine.Config{Admission: gate})
	t.Cleanup(e.Close)
	h.Ledger = New(s, e, cashier.New(s, e, payment.NewTestProvider(100_000, log), policies{}, log))
	h.branches = NewParticipant(h.Ledger, h.db, tcc.Config{})
	return gate
}

// A ledger whose places are taken refuses Try and new money, and says when to
// come back. What is decided comes through, and what is hopeless is told so.
func TestABusyLedgerRefusesTryAndNeverConfirm(t *testing.T) {
	h := open(t)
	h.fund(t, "ann", 1000)
	gate := behind(t, h, admission.Config{Limit: 4})
	held, dropped := branch(t, "held", pay("order", usd(100))), branch(t, "dropped", pay("order-2", usd(100)))
	for _, b := range []*tccv1.Branch{held, dropped} {
		if _, err := h.branches.Try(t.Context(), &tccv1.TryRequest{Branch: b}); err != nil {
			t.Fatal(err)
		}
	}
	var passes []*admission.Pass
	for range 4 { // all places of the ledger
		pass, err := gate.Enter(t.Context(), admission.Work{Tenant: "main", Shard: "main/USD"})
		if err != nil {
			t.Fatal(err)
		}
		passes = append(passes, pass)
	}
	_, err := h.branches.Try(t.Context(), &tccv1.TryRequest{Branch: branch(t, "new", pay("order-3", usd(100)))})
	wantBusy(t, err)
	_, err = h.TopUp(as(t, identity.Viewer, "ann"), &settlementv1.TopUpRequest{Amount: usd(1), IdempotencyKey: "more"})
	wantBusy(t, err)
	_, err = h.branches.Try(t.Context(), &tccv1.TryRequest{Branch: branch(t, "poor", pay("order-4", usd(5000)))})
	if connect.CodeOf(err) != connect.CodeFailedPrecondition {
		t.Errorf("a price that the wallet lacks: %v", err)
	}
	var decided sync.WaitGroup
	decided.Go(func() {
		if _, err := h.branches.Confirm(t.Context(), &tccv1.ConfirmRequest{Branch: held}); err != nil {
			t.Errorf("Confirm: %v", err)
		}
	})
	decided.Go(func() {
		if _, err := h.branches.Cancel(t.Context(), &tccv1.CancelRequest{Branch: dropped}); err != nil {
			t.Errorf("Cancel: %v", err)
		}
	})
	for gate.Load().Waiting < 2 { // they are not refused, they wait
		runtime.Gosched()
	}
	for _, pass := range passes {
		pass.Done(admission.Undecided)
	}
	decided.Wait()
	if available, pending := h.wallet(t, "ann"); available != 900 || pending != 0 {
		t.Errorf("%d available, %d pending: a refused call left something", available, pending)
	}
}

func wantBusy(t *testing.T, err error) {
	t.Helper()
	var coded *connect.Error
	if !errors.As(err, &coded) || coded.Code() != connect.CodeResourceExhausted {
		t.Fatalf("got %v, want ResourceExhausted", err)
	}
	if after, told := rpc.RetryAfter(coded); !told || after < time.Millisecond || after > time.Minute {
		t.Errorf("retry after %v (%v)", after, told)
	}
}

// Transfers are refused before they are read; what ends others is not.
func TestABusyLedgerRefusesTransfersUnread(t *testing.T) {
	h := open(t)
	gate := behind(t, h, admission.Config{Limit: 1, TotalLimit: 1})
	booking := NewBooking(h.store, h.engine)
	method := func(name string) *rpcdesc.Method { return &rpcdesc.Method{Name: name} }
	_, leave, err := booking.Admit(t.Context(), method("CreateTransfers"), 64)
	if err != nil {
		t.Errorf("idle: %v", err)
	}
	leave()
	pass, err := gate.Enter(t.Context(), admission.Work{Tenant: "main", Shard: "main/USD"})
	if err != nil {
		t.Fatal(err)
	}
	defer pass.Done(admission.Undecided)
	_, _, err = booking.Admit(t.Context(), method("CreateTransfers"), 64)
	wantBusy(t, err)
	for _, name := range []string{"PostTransfers", "VoidTransfers", "GetBalance"} {
		if _, _, err := booking.Admit(t.Context(), method(name), 64); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A repeat of Try finds its own hold, though the wallet is empty by it.
func TestAPriceThatTheWalletLacksIsRefusedBeforeTheQueue(t *testing.T) {
	h := open(t)
	h.fund(t, "ann", 100)
	b := branch(t, "x", pay("order", usd(100)))
	for range 2 {
		if _, err := h.branches.Try(t.Context(), &tccv1.TryRequest{Branch: b}); err != nil {
			t.Fatal(err)
		}
	}
	_, err := h.branches.Try(t.Context(), &tccv1.TryRequest{Branch: branch(t, "y", pay("order-2", usd(1)))})
	if connect.CodeOf(err) != connect.CodeFailedPrecondition || !strings.Contains(err.Error(), "short of") {
		t.Errorf("got %v", err)
	}
	if _, err := h.branches.Cancel(t.Context(), &tccv1.CancelRequest{Branch: branch(t, "y", pay("order-2", usd(1)))}); err != nil {
		t.Errorf("Cancel of what was refused: %v", err)
	}
}

// A sick database trips the breaker.
func TestFailuresOfTheDatabaseStopNewBookings(t *testing.T) {
	h := open(t)
	h.fund(t, "ann", 1000)
	behind(t, h, admission.Config{})
	err := h.db.Write(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "CREATE TRIGGER sick BEFORE INSERT ON transfers BEGIN SELECT RAISE(ABORT, 'disk is sick'); END")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	var last error
	for range 40 {
		_, last = h.branches.Try(t.Context(), &tccv1.TryRequest{Branch: branch(t, "x", &settlementv1.PayBranch{
			OrderId: "order", ViewerId: "ann", CreatorId: "eve", Price: usd(1),
		})})
	}
	var coded *connect.Error
	if !errors.As(last, &coded) || coded.Code() != connect.CodeUnavailable {
		t.Fatalf("got %v, want Unavailable", last)
	}
	if _, told := rpc.RetryAfter(coded); !told {
		t.Error("it does not say when to try again")
	}
}
