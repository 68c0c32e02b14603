package api

import (
	"fmt"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"github.com/backlot-video/backlot/kit/identity"
	moneyv1 "github.com/backlot-video/backlot/proto/gen/backlot/money/v1"
	settlementv1 "github.com/backlot-video/backlot/proto/gen/backlot/settlement/v1"
	tccv1 "github.com/backlot-video/backlot/proto/gen/backlot/tcc/v1"
)

// sell books a sale of ann's to eve.
func (h *house) sell(t *testing.T, order string, price int64) {
	t.Helper()
	b := branch(t, order, pay(order, usd(price)))
	_, err1 := h.branches.Try(t.Context(), &tccv1.TryRequest{Branch: b})
	_, err2 := h.branches.Confirm(t.Context(), &tccv1.ConfirmRequest{Branch: b})
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
}

func lines(transfer *settlementv1.Transfer) string {
	var all []string
	for _, p := range transfer.GetPostings() {
		side := strings.ToLower(strings.TrimPrefix(p.GetSide().String(), "SIDE_"))
		all = append(all, fmt.Sprintf("%s %s %s %d", side, p.GetPurpose(), p.GetOwnerId(), p.GetAmount().GetMinor()))
	}
	return strings.Join(all, ", ")
}

func refundBranch(t *testing.T, xid, action string, payload proto.Message) *tccv1.Branch {
	b := branch(t, xid, payload)
	b.Action, b.BranchId = action, "refund"
	return b
}

func (h *house) verified(t *testing.T) {
	t.Helper()
	verified, err := h.VerifyLedger(as(t, identity.Operator, "op"), &settlementv1.VerifyLedgerRequest{})
	if err != nil || !verified.GetOk() {
		t.Errorf("verified as %v, %v", verified, err)
	}
}

func TestRefundBranchHoldsAndGivesBack(t *testing.T) {
	h := open(t)
	h.fund(t, "ann", 1000)
	h.sell(t, "order", 499)
	part := refundBranch(t, "r1", RefundAction, &settlementv1.RefundBranch{OrderId: "order", Amount: usd(100)})
	rest := refundBranch(t, "r2", RefundAction, &settlementv1.RefundBranch{OrderId: "order"})
	for _, b := range []*tccv1.Branch{part, part, rest} { // repeats change nothing
		if _, err := h.branches.Try(t.Context(), &tccv1.TryRequest{Branch: b}); err != nil {
			t.Fatal(err)
		}
	}
	third := refundBranch(t, "r3", RefundAction, &settlementv1.RefundBranch{OrderId: "order"})
	if _, err := h.branches.Try(t.Context(), &tccv1.TryRequest{Branch: third}); connect.CodeOf(err) != connect.CodeFailedPrecondition {
		t.Errorf("more than was sold: %v", err)
	}
	if available, _ := h.wallet(t, "ann"); available != 501 {
		t.Errorf("%d may be spent before the refund is certain", available)
	}
	_, err1 := h.branches.Confirm(t.Context(), &tccv1.ConfirmRequest{Branch: part})
	_, err2 := h.branches.Cancel(t.Context(), &tccv1.CancelRequest{Branch: rest})
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	if available, _ := h.wallet(t, "ann"); available != 601 {
		t.Errorf("%d, want 601", available)
	}
	back := refundBranch(t, "r4", ChargebackAction, &settlementv1.RefundBranch{OrderId: "order"})
	if _, err := h.branches.Try(t.Context(), &tccv1.TryRequest{Branch: back}); err != nil {
		t.Fatal(err)
	}
	if _, err := h.branches.Confirm(t.Context(), &tccv1.ConfirmRequest{Branch: back}); err != nil {
		t.Fatal(err)
	}
	list, err := h.ListTransfers(as(t, identity.Operator, "op"), &settlementv1.ListTransfersRequest{Reference: "order"})
	if err != nil || len(list.GetTransfers()) != 4 {
		t.Fatal(list, err)
	}
	for i, want := range []string{
		"debit wallet ann 499, credit earnings eve 349, credit platform  100, credit tax  50",
		"debit earnings eve 70, debit platform  20, debit tax  10, credit wallet ann 100",
		"debit earnings eve 279, debit platform  80, debit tax  40, credit wallet ann 399",
		"debit earnings eve 279, debit platform  80, debit tax  40, credit clearing  399",
	} {
		if got := lines(list.GetTransfers()[i]); got != want {
			t.Errorf("transfer %d: %s, want %s", i, got, want)
		}
	}
	h.verified(t)
}

func TestRefundSaleIsIdempotentAndNamesItsFaults(t *testing.T) {
	h := open(t)
	h.fund(t, "ann", 1000)
	h.sell(t, "order", 499)
	op := as(t, identity.Operator, "op")
	ask := func(order string, amount *moneyv1.Money, key string) (*settlementv1.Transfer, error) {
		res, err := h.RefundSale(op, &settlementv1.RefundSaleRequest{OrderId: order, Amount: amount, IdempotencyKey: key})
		return res.GetTransfer(), err
	}
	first, err := ask("order", usd(99), "k")
	if err != nil || first.GetState() != settlementv1.TransferState_TRANSFER_STATE_POSTED || first.GetType() != "refund" {
		t.Fatal(first, err)
	}
	again, err := ask("order", usd(99), "k")
	if err != nil || again.GetId() != first.GetId() {
		t.Errorf("again: %v, %v", again, err)
	}
	for _, c := range []struct {
		order  string
		amount *moneyv1.Money
		key    string
		code   connect.Code
		says   string
	}{
		{"order", usd(98), "k", connect.CodeAlreadyExists, "idempotency key"},
		{"order", usd(401), "l", connect.CodeFailedPrecondition, "more than what is left of the sale: 4.01 USD of 4.00 USD"},
		{"order", usd(0), "l", connect.CodeInvalidArgument, "not above zero"},
		{"order", usd(-5), "l", connect.CodeInvalidArgument, "not above zero"},
		{"order", &moneyv1.Money{Minor: 5, Currency: "EUR"}, "l", connect.CodeInvalidArgument, `"EUR" and "USD"`},
		{"order", &moneyv1.Money{Minor: 5, Currency: "XXX"}, "l", connect.CodeInvalidArgument, "amount: "},
		{"none", nil, "l", connect.CodeFailedPrecondition, "order none has none"},
	} {
		if _, err := ask(c.order, c.amount, c.key); connect.CodeOf(err) != c.code || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s %v %s: got %v, want %v that says %q", c.order, c.amount, c.key, err, c.code, c.says)
		}
	}
	if _, err := ask("order", nil, "rest"); err != nil {
		t.Error(err)
	}
	if _, err := ask("order", nil, "more"); connect.CodeOf(err) != connect.CodeFailedPrecondition || !strings.Contains(err.Error(), "nothing is left") {
		t.Errorf("got %v", err)
	}
	if available, _ := h.wallet(t, "ann"); available != 1000 {
		t.Errorf("%d, want 1000", available)
	}
	h.verified(t)
}

func TestStatementsShowWhatIsTheCallers(t *testing.T) {
	h := open(t)
	h.fund(t, "ann", 1000)
	h.sell(t, "order", 499)
	ask := func(kind identity.Kind, id string, req *settlementv1.GetStatementRequest) (*settlementv1.GetStatementResponse, connect.Code) {
		res, err := h.GetStatement(as(t, kind, id), req)
		if err != nil {
			return nil, connect.CodeOf(err)
		}
		return res, 0
	}
	mine, code := ask(identity.Viewer, "ann", &settlementv1.GetStatementRequest{Purpose: "wallet", Currency: "USD"})
	if code != 0 || len(mine.GetLines()) != 2 || mine.GetOpening().GetMinor() != 0 || mine.GetClosing().GetMinor() != 501 {
		t.Fatalf("got %v, %v", mine, code)
	}
	if line := mine.GetLines()[1]; line.GetAmount().GetMinor() != -499 || line.GetBalance().GetMinor() != 501 || line.GetReference() != "order" || line.GetType() != "sale" {
		t.Errorf("line %v", line)
	}
	id := mine.GetAccount().GetId()
	for _, c := range []struct {
		kind identity.Kind
		id   string
		req  *settlementv1.GetStatementRequest
		code connect.Code
	}{
		{identity.Viewer, "ann", &settlementv1.GetStatementRequest{AccountId: id}, 0},
		{identity.Operator, "op", &settlementv1.GetStatementRequest{AccountId: id}, 0},
		{identity.Operator, "op", &settlementv1.GetStatementRequest{Purpose: "platform", Currency: "USD"}, 0},
		{identity.Operator, "op", &settlementv1.GetStatementRequest{OwnerId: "eve", Purpose: "earnings", Currency: "USD"}, 0},
		{identity.Viewer, "bob", &settlementv1.GetStatementRequest{AccountId: id}, connect.CodePermissionDenied},
		{identity.Viewer, "bob", &settlementv1.GetStatementRequest{AccountId: "none"}, connect.CodePermissionDenied},
		{identity.Viewer, "bob", &settlementv1.GetStatementRequest{OwnerId: "ann", Purpose: "wallet", Currency: "USD"}, connect.CodePermissionDenied},
		{identity.Viewer, "bob", &settlementv1.GetStatementRequest{Purpose: "wallet", Currency: "USD"}, connect.CodeNotFound},
		{identity.Operator, "op", &settlementv1.GetStatementRequest{AccountId: "none"}, connect.CodeNotFound},
		{identity.Operator, "op", &settlementv1.GetStatementRequest{}, connect.CodeInvalidArgument},
		{identity.Operator, "op", &settlementv1.GetStatementRequest{Purpose: "wallet", Currency: "XXX"}, connect.CodeInvalidArgument},
		{identity.Operator, "op", &settlementv1.GetStatementRequest{AccountId: id, From: 5, To: 4}, connect.CodeInvalidArgument},
		{identity.Operator, "op", &settlementv1.GetStatementRequest{AccountId: id, PageToken: "x"}, connect.CodeInvalidArgument},
	} {
		if _, code := ask(c.kind, c.id, c.req); code != c.code {
			t.Errorf("%v %s asks %v: %v, want %v", c.kind, c.id, c.req, code, c.code)
		}
	}
	first, code := ask(identity.Operator, "op", &settlementv1.GetStatementRequest{AccountId: id, PageSize: 1})
	if code != 0 || first.GetNextPageToken() == "" {
		t.Fatal(first, code)
	}
	second, code := ask(identity.Operator, "op", &settlementv1.GetStatementRequest{AccountId: id, PageSize: 1, To: first.GetTo(), PageToken: first.GetNextPageToken()})
	if code != 0 || len(second.GetLines()) != 1 || second.GetLines()[0].GetBalance().GetMinor() != 501 || second.GetNextPageToken() != "" {
		t.Errorf("second page %v, %v", second, code)
	}
}
