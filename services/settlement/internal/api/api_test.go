package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/backlot-video/backlot/kit/database"
	"github.com/backlot-video/backlot/kit/database/databasetest"
	"github.com/backlot-video/backlot/kit/identity"
	"github.com/backlot-video/backlot/kit/mq"
	"github.com/backlot-video/backlot/kit/tcc"
	moneyv1 "github.com/backlot-video/backlot/proto/gen/backlot/money/v1"
	settlementv1 "github.com/backlot-video/backlot/proto/gen/backlot/settlement/v1"
	tccv1 "github.com/backlot-video/backlot/proto/gen/backlot/tcc/v1"
	"github.com/backlot-video/backlot/services/settlement/internal/cashier"
	"github.com/backlot-video/backlot/services/settlement/internal/engine"
	"github.com/backlot-video/backlot/services/settlement/internal/payment"
	"github.com/backlot-video/backlot/services/settlement/internal/policy"
	"github.com/backlot-video/backlot/services/settlement/internal/split"
	"github.com/backlot-video/backlot/services/settlement/internal/store"
	backlotsql "github.com/backlot-video/backlot/sql"
	kitdb "github.com/backlot-video/backlot/sql/gen/kit"
)

// policies has the default and nothing else.
type policies struct{}

func (policies) Policy(name string) (split.Policy, error) {
	if name != "" {
		return split.Policy{}, policy.ErrUnknown
	}
	return split.Policy{Name: "default", Shares: []split.Share{
		{Payee: split.Payee{Kind: split.Creator}, PPM: 700_000}, {Payee: split.Payee{Kind: split.Platform}, PPM: 200_000}, {Payee: split.Payee{Kind: split.Tax}, PPM: 100_000},
	}}, nil
}

type house struct {
	*Ledger
	branches tccv1.ParticipantServiceServer
	db       *database.DB
	outbox   *mq.Outbox
}

func open(t *testing.T) *house {
	t.Helper()
	db := databasetest.Open(t, databasetest.Config(t, database.SQLite, "settlement"), backlotsql.Migrations("settlement"))
	h := &house{}
	log := slog.New(slog.DiscardHandler)
	s := store.New(db)
	h.outbox = mq.NewOutbox(mq.OutboxConfig{Service: "settlement", DB: db, Expand: Expand(s)})
	e := engine.New(s, engine.Config{Tell: Tell(h.outbox)})
	t.Cleanup(e.Close)
	h.db = db
	h.Ledger = New(s, e, cashier.New(s, e, payment.NewTestProvider(100_000, log), policies{}, log))
	h.branches = NewParticipant(h.Ledger, db, tcc.Config{})
	return h
}

func as(t *testing.T, kind identity.Kind, id string) context.Context {
	t.Helper()
	return identity.With(t.Context(), identity.Principal{Kind: kind, ID: id, TenantID: "main"})
}

func usd(minor int64) *moneyv1.Money { return &moneyv1.Money{Minor: minor, Currency: "USD"} }

func (h *house) fund(t *testing.T, viewer string, minor int64) {
	t.Helper()
	_, err := h.TopUp(as(t, identity.Viewer, viewer), &settlementv1.TopUpRequest{Amount: usd(minor), IdempotencyKey: "fund"})
	if err != nil {
		t.Fatal(err)
	}
}

func (h *house) wallet(t *testing.T, viewer string) (available, pending int64) {
	t.Helper()
	res, err := h.GetWallet(as(t, identity.Viewer, viewer), &settlementv1.GetWalletRequest{Currency: "USD"})
	if err != nil {
		t.Fatal(err)
	}
	return res.GetAvailable().GetMinor(), res.GetPending().GetMinor()
}

func branch(t *testing.T, xid string, payload proto.Message) *tccv1.Branch {
	t.Helper()
	b := &tccv1.Branch{Xid: xid, BranchId: "pay", TenantId: "main", Action: PayAction}
	if payload != nil {
		var err error
		if b.Payload, err = anypb.New(payload); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

func pay(order string, price *moneyv1.Money) *settlementv1.PayBranch {
	return &settlementv1.PayBranch{OrderId: order, ViewerId: "ann", CreatorId: "eve", Price: price}
}

func TestPurchaseIsHeldSplitAndShown(t *testing.T) {
	h := open(t)
	h.fund(t, "ann", 1000)
	b := branch(t, "x", pay("order", usd(499)))
	for range 2 { // every call may be repeated
		if _, err := h.branches.Try(t.Context(), &tccv1.TryRequest{Branch: b}); err != nil {
			t.Fatal(err)
		}
	}
	if available, pending := h.wallet(t, "ann"); available != 501 || pending != 499 {
		t.Errorf("while held: %d available, %d pending", available, pending)
	}
	for range 2 {
		if _, err := h.branches.Confirm(t.Context(), &tccv1.ConfirmRequest{Branch: b}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := h.branches.Cancel(t.Context(), &tccv1.CancelRequest{Branch: b}); connect.CodeOf(err) != connect.CodeFailedPrecondition {
		t.Errorf("cancel after confirm: %v", err)
	}
	list, err := h.ListTransfers(as(t, identity.Operator, "op"), &settlementv1.ListTransfersRequest{Reference: "order"})
	if err != nil || len(list.GetTransfers()) != 1 {
		t.Fatalf("got %v, %v", list, err)
	}
	sale := list.GetTransfers()[0]
	var lines []string
	for _, p := range sale.GetPostings() {
		lines = append(lines, fmt.Sprintf("%v %s %s %d", p.GetSide(), p.GetPurpose(), p.GetOwnerId(), p.GetAmount().GetMinor()))
	}
	want := "SIDE_DEBIT wallet ann 499; SIDE_CREDIT earnings eve 349; SIDE_CREDIT platform  100; SIDE_CREDIT tax  50"
	if got := strings.Join(lines, "; "); got != want {
		t.Errorf("postings %s, want %s", got, want)
	}
	if sale.GetXid() != "x" || sale.GetSplitPolicy() != "default" || sale.GetSequence() != 2 || len(sale.GetHash()) != 32 {
		t.Errorf("sale %v", sale)
	}
	one, err := h.GetTransfer(as(t, identity.Operator, "op"), &settlementv1.GetTransferRequest{TransferId: sale.GetId()})
	if err != nil || !proto.Equal(one.GetTransfer(), sale) {
		t.Errorf("got %v, %v", one, err)
	}
	verified, err := h.VerifyLedger(as(t, identity.Operator, "op"), &settlementv1.VerifyLedgerRequest{})
	if err != nil || !verified.GetOk() || verified.GetTransfers() != 2 || string(verified.GetHeads()[0].GetHash()) != string(sale.GetHash()) {
		t.Errorf("verified as %v, %v", verified, err)
	}
	told := h.told(t)
	if len(told) != 2 || !proto.Equal(told[1].GetTransfers()[0], sale) {
		t.Errorf("told %v", told)
	}
}

// told is what is in the outbox, in its order.
func (h *house) told(t *testing.T) (facts []*settlementv1.TransfersPosted) {
	t.Helper()
	rows, err := kitdb.New(h.db.Read()).ListUnsent(t.Context(), 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range rows {
		envelope, _, err := h.outbox.Decode(t.Context(), row.Envelope)
		if err != nil {
			t.Fatal(err)
		}
		fact := &settlementv1.TransfersPosted{}
		if err := envelope.GetData().UnmarshalTo(fact); err != nil {
			t.Fatal(err)
		}
		if envelope.GetType() != TransfersPosted || envelope.GetKey() != "main/USD" {
			t.Errorf("envelope %v", envelope)
		}
		facts = append(facts, fact)
	}
	return facts
}

func TestRefusedPurchasesLeaveNothing(t *testing.T) {
	h := open(t)
	h.fund(t, "ann", 100)
	without := func(change func(p *settlementv1.PayBranch)) proto.Message {
		p := pay("order", usd(5))
		change(p)
		return p
	}
	cases := map[string]struct {
		payload proto.Message
		code    connect.Code
		says    string
	}{
		"short":        {pay("order", usd(101)), connect.CodeFailedPrecondition, "insufficient funds: wallet is short of 0.01 USD"},
		"free":         {pay("order", usd(0)), connect.CodeInvalidArgument, "above zero"},
		"minus one":    {pay("order", usd(-1)), connect.CodeInvalidArgument, "above zero"},
		"no currency":  {pay("order", &moneyv1.Money{Minor: 5}), connect.CodeInvalidArgument, "payload.price"},
		"another one":  {pay("order", &moneyv1.Money{Minor: 5, Currency: "EUR"}), connect.CodeFailedPrecondition, "insufficient"},
		"no price":     {pay("order", nil), connect.CodeInvalidArgument, "payload.price"},
		"no payload":   {nil, connect.CodeInvalidArgument, "payload"},
		"not a sale":   {usd(5), connect.CodeInvalidArgument, "payload"},
		"no order":     {without(func(p *settlementv1.PayBranch) { p.OrderId = "" }), connect.CodeInvalidArgument, "order_id"},
		"no viewer":    {without(func(p *settlementv1.PayBranch) { p.ViewerId = "" }), connect.CodeInvalidArgument, "viewer_id"},
		"no creator":   {without(func(p *settlementv1.PayBranch) { p.CreatorId = "" }), connect.CodeInvalidArgument, "creator_id"},
		"odd policy":   {without(func(p *settlementv1.PayBranch) { p.SplitPolicy = "odd" }), connect.CodeFailedPrecondition, "no such split policy"},
		"overflow":     {pay("order", usd(math.MaxInt64)), connect.CodeFailedPrecondition, "insufficient"},
		"unknown user": {without(func(p *settlementv1.PayBranch) { p.ViewerId = "nobody" }), connect.CodeFailedPrecondition, "insufficient"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			b := branch(t, name, c.payload)
			_, err := h.branches.Try(t.Context(), &tccv1.TryRequest{Branch: b})
			if connect.CodeOf(err) != c.code || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want %v that says %q", err, c.code, c.says)
			}
			if _, err := h.branches.Cancel(t.Context(), &tccv1.CancelRequest{Branch: b}); err != nil {
				t.Errorf("cancel: %v", err)
			}
		})
	}
	list, err := h.ListTransfers(as(t, identity.Operator, "op"), &settlementv1.ListTransfersRequest{Reference: "order"})
	if err != nil || len(list.GetTransfers()) != 0 {
		t.Errorf("left %v, %v", list, err)
	}
	accounts, err := h.ListAccounts(as(t, identity.Operator, "op"), &settlementv1.ListAccountsRequest{})
	if err != nil || len(accounts.GetAccounts()) != 2 {
		t.Errorf("left %v, %v", accounts, err)
	}
}

func TestHangingTryIsRefused(t *testing.T) {
	h := open(t)
	h.fund(t, "ann", 100)
	b := branch(t, "x", pay("order", usd(60)))
	if _, err := h.branches.Cancel(t.Context(), &tccv1.CancelRequest{Branch: b}); err != nil {
		t.Fatal(err)
	}
	if _, err := h.branches.Try(t.Context(), &tccv1.TryRequest{Branch: b}); connect.CodeOf(err) != connect.CodeFailedPrecondition {
		t.Errorf("try after cancel: %v", err)
	}
	b = branch(t, "y", pay("order", usd(60)))
	if _, err := h.branches.Try(t.Context(), &tccv1.TryRequest{Branch: b}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := h.branches.Cancel(t.Context(), &tccv1.CancelRequest{Branch: b}); err != nil {
			t.Fatal(err)
		}
	}
	if available, pending := h.wallet(t, "ann"); available != 100 || pending != 0 {
		t.Errorf("%d available, %d pending", available, pending)
	}
}

func TestWalletsArePrivate(t *testing.T) {
	h := open(t)
	h.fund(t, "ann", 100)
	get := func(ctx context.Context, owner, currency string) (int64, connect.Code) {
		res, err := h.GetWallet(ctx, &settlementv1.GetWalletRequest{OwnerId: owner, Currency: currency})
		if err != nil {
			return 0, connect.CodeOf(err)
		}
		return res.GetAvailable().GetMinor(), 0
	}
	cases := []struct {
		ctx             context.Context
		owner, currency string
		minor           int64
		code            connect.Code
	}{
		{as(t, identity.Viewer, "ann"), "", "USD", 100, 0},
		{as(t, identity.Viewer, "ann"), "ann", "USD", 100, 0},
		{as(t, identity.Viewer, "bob"), "", "USD", 0, 0},
		{as(t, identity.Viewer, "bob"), "ann", "USD", 0, connect.CodePermissionDenied},
		{as(t, identity.Operator, "op"), "ann", "USD", 100, 0},
		{as(t, identity.Operator, "op"), "", "USD", 0, connect.CodeInvalidArgument},
		{as(t, identity.Viewer, "ann"), "", "XXX", 0, connect.CodeInvalidArgument},
		{t.Context(), "", "USD", 0, connect.CodeUnauthenticated},
	}
	for _, c := range cases {
		if minor, code := get(c.ctx, c.owner, c.currency); minor != c.minor || code != c.code {
			t.Errorf("owner %q in %s: %d %v, want %d %v", c.owner, c.currency, minor, code, c.minor, c.code)
		}
	}
}

func TestTopUpRefuses(t *testing.T) {
	h := open(t)
	h.fund(t, "ann", 100)
	cases := []struct {
		amount *moneyv1.Money
		key    string
		code   connect.Code
	}{
		{usd(0), "a", connect.CodeInvalidArgument},
		{usd(-1), "b", connect.CodeInvalidArgument},
		{&moneyv1.Money{Minor: 5, Currency: "usd"}, "c", connect.CodeInvalidArgument},
		{usd(100_001), "d", connect.CodeFailedPrecondition}, // the test provider's limit
		{usd(101), "fund", connect.CodeAlreadyExists},
	}
	for _, c := range cases {
		_, err := h.TopUp(as(t, identity.Viewer, "ann"), &settlementv1.TopUpRequest{Amount: c.amount, IdempotencyKey: c.key})
		if connect.CodeOf(err) != c.code {
			t.Errorf("%v: got %v, want %v", c.amount, err, c.code)
		}
	}
	again, err := h.TopUp(as(t, identity.Viewer, "ann"), &settlementv1.TopUpRequest{Amount: usd(100), IdempotencyKey: "fund"})
	if err != nil || again.GetBalance().GetMinor() != 100 {
		t.Errorf("again: %v, %v", again, err)
	}
}

func TestListsPageByToken(t *testing.T) {
	h := open(t)
	for _, viewer := range []string{"ann", "bob", "cy"} {
		h.fund(t, viewer, 100)
	}
	op := as(t, identity.Operator, "op")
	var seen int
	for token, more := "", true; more; {
		page, err := h.ListTransfers(op, &settlementv1.ListTransfersRequest{PageSize: 2, PageToken: token})
		if err != nil {
			t.Fatal(err)
		}
		seen += len(page.GetTransfers())
		token = page.GetNextPageToken()
		more = token != ""
	}
	accounts, err := h.ListAccounts(op, &settlementv1.ListAccountsRequest{PageSize: 3})
	if err != nil || seen != 3 || len(accounts.GetAccounts()) != 3 || accounts.GetNextPageToken() == "" {
		t.Errorf("%d transfers, accounts %v, %v", seen, accounts, err)
	}
	if _, err := h.GetTransfer(op, &settlementv1.GetTransferRequest{TransferId: "none"}); connect.CodeOf(err) != connect.CodeNotFound {
		t.Errorf("got %v, want NotFound", err)
	}
}

func TestUnknownErrorsAreNotShown(t *testing.T) {
	fault := errors.New("disk is full")
	if got := coded(fault); !errors.Is(got, fault) || errors.As(got, new(*connect.Error)) {
		t.Errorf("got %v", got)
	}
}
