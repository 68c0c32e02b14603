package api

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"buf.build/go/protovalidate"

	"github.com/backlot-video/backlot/kit/identity"
	settlementv1 "github.com/backlot-video/backlot/proto/gen/backlot/settlement/v1"
	"github.com/backlot-video/backlot/services/settlement/internal/ledger"
)

var update = flag.Bool("update", false, "write the transcripts anew")

// TestTranscript plays testdata/booking.txt: a line that begins with > is a
// call, with its request as JSON, and the lines after it are what it answers,
// made-up ids left out. It also shows that what is refused changes nothing.
func TestTranscript(t *testing.T) {
	const path = "testdata/booking.txt"
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	h := open(t)
	b := NewBooking(h.store, h.engine)
	op := as(t, identity.Operator, "op")
	var got strings.Builder
	for line := range strings.Lines(string(want)) {
		call, isCall := strings.CutPrefix(strings.TrimSpace(line), "> ")
		switch {
		case isCall:
			method, request, _ := strings.Cut(call, " ")
			fmt.Fprintf(&got, "> %s\n%s", call, play(t, op, b, method, request))
		case strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#"):
			got.WriteString(line)
		}
	}
	if *update {
		if err := os.WriteFile(path, []byte(got.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got.String() != string(want) {
		t.Errorf("%s is now (-update writes it):\n%s", path, got.String())
	}
	h.verified(t)
}

// play does a call as the chain would, which validates it first.
func play(t *testing.T, ctx context.Context, b *Booking, method, request string) string {
	read := func(message proto.Message) error {
		if err := protojson.Unmarshal([]byte(request), message); err != nil {
			t.Fatalf("%s %s: %v", method, request, err)
		}
		return protovalidate.Validate(message)
	}
	switch method {
	case "CreateAccounts":
		return shownCall(ctx, b.CreateAccounts, new(settlementv1.CreateAccountsRequest), read)
	case "SetAccountState":
		return shownCall(ctx, b.SetAccountState, new(settlementv1.SetAccountStateRequest), read)
	case "CreateTransfers":
		return shownCall(ctx, b.CreateTransfers, new(settlementv1.CreateTransfersRequest), read)
	case "PostTransfers":
		return shownCall(ctx, b.PostTransfers, new(settlementv1.PostTransfersRequest), read)
	case "VoidTransfers":
		return shownCall(ctx, b.VoidTransfers, new(settlementv1.VoidTransfersRequest), read)
	case "LookupTransfers":
		return shownCall(ctx, b.LookupTransfers, new(settlementv1.LookupTransfersRequest), read)
	case "GetBalance":
		return shownCall(ctx, b.GetBalance, new(settlementv1.GetBalanceRequest), read)
	default:
		t.Fatalf("no method %q", method)
		return ""
	}
}

func shownCall[Req, Res proto.Message](
	ctx context.Context, call func(context.Context, Req) (Res, error), req Req, read func(proto.Message) error,
) string {
	if err := read(req); err != nil {
		return "invalid_argument: " + strings.ReplaceAll(strings.TrimPrefix(err.Error(), "validation error: "), "\n", " ") + "\n"
	}
	res, err := call(ctx, req)
	if err != nil {
		return madeUp.ReplaceAllString(err.Error(), "ID") + "\n"
	}
	return shown(res)
}

var madeUp = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}`)

// shown writes a response, a line for each item.
func shown(res proto.Message) string {
	var b strings.Builder
	item := func(i int, repeated bool, fault *settlementv1.ItemError, what string) {
		switch {
		case fault != nil:
			fmt.Fprintf(&b, "%d: %s: %s: %s\n", i, fault.GetCode(), fault.GetField(), fault.GetMessage())
		case repeated:
			fmt.Fprintf(&b, "%d: again %s\n", i, what)
		default:
			fmt.Fprintf(&b, "%d: %s\n", i, what)
		}
	}
	transfers := func(results []*settlementv1.TransferResult) {
		for i, result := range results {
			item(i, result.GetRepeated(), result.GetError(), transferLine(result.GetTransfer()))
		}
	}
	switch res := res.(type) {
	case *settlementv1.CreateAccountsResponse:
		for i, result := range res.GetResults() {
			item(i, result.GetRepeated(), result.GetError(), accountLine(result.GetAccount()))
		}
	case *settlementv1.SetAccountStateResponse:
		fmt.Fprintln(&b, accountLine(res.GetAccount()))
	case *settlementv1.CreateTransfersResponse:
		transfers(res.GetResults())
	case *settlementv1.PostTransfersResponse:
		transfers(res.GetResults())
	case *settlementv1.VoidTransfersResponse:
		transfers(res.GetResults())
	case *settlementv1.LookupTransfersResponse:
		for i, transfer := range res.GetTransfers() {
			item(i, false, nil, transferLine(transfer))
		}
	case *settlementv1.GetBalanceResponse:
		fmt.Fprintf(&b, "balance %d %s, available %d, %s\n", res.GetBalance().GetMinor(), res.GetBalance().GetCurrency(),
			res.GetAvailable().GetMinor(), accountLine(res.GetAccount()))
	}
	return madeUp.ReplaceAllString(b.String(), "ID")
}

func accountLine(a *settlementv1.Account) string {
	return fmt.Sprintf("%s %s %q %s debits %d+%d credits %d+%d", a.GetId(), a.GetPurpose(), a.GetOwnerId(), a.GetCurrency(),
		a.GetDebitsPosted(), a.GetDebitsPending(), a.GetCreditsPosted(), a.GetCreditsPending())
}

func transferLine(t *settlementv1.Transfer) string {
	state := strings.ToLower(strings.TrimPrefix(t.GetState().String(), "TRANSFER_STATE_"))
	return fmt.Sprintf("%s %s %s sequence %d", t.GetIdempotencyKey(), t.GetType(), state, t.GetSequence())
}

func TestClientsDoNotTouchWhatTheHouseHolds(t *testing.T) {
	h := open(t)
	h.fund(t, "ann", 100)
	b := NewBooking(h.store, h.engine)
	op := as(t, identity.Operator, "op")
	booked, err := h.ListTransfers(op, &settlementv1.ListTransfersRequest{})
	if err != nil {
		t.Fatal(err)
	}
	key := booked.GetTransfers()[0].GetIdempotencyKey()
	voided, err := b.VoidTransfers(op, &settlementv1.VoidTransfersRequest{ClientIds: []string{key}})
	if err != nil || voided.GetResults()[0].GetError().GetCode() != "not_found" {
		t.Errorf("%s: %v, %v", key, voided, err)
	}
}

func TestBusyLedgerTellsWhenToTryAgain(t *testing.T) {
	err := whole([]error{ledger.ErrBusy, ledger.ErrBusy}, 2)
	var coded *connect.Error
	if !errors.As(err, &coded) || coded.Code() != connect.CodeResourceExhausted || len(coded.Details()) != 1 {
		t.Fatalf("got %v", err)
	}
	if detail, err := coded.Details()[0].Value(); err != nil || !strings.Contains(fmt.Sprint(detail), "nanos:100000000") {
		t.Errorf("detail %v, %v", detail, err)
	}
	placed := &ledger.FieldError{Field: "transfers[0].type", Err: ledger.ErrTransfer}
	for name, failures := range map[string][]error{"some": {ledger.ErrBusy}, "the request's": {placed, ledger.ErrBusy}, "none": nil} {
		if err := whole(failures, 2); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
