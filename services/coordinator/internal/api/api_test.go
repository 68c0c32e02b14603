package api

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/backlot-video/backlot/kit/identity"
	coordinatorv1 "github.com/backlot-video/backlot/proto/gen/backlot/coordinator/v1"
	settlementv1 "github.com/backlot-video/backlot/proto/gen/backlot/settlement/v1"
	"github.com/backlot-video/backlot/services/coordinator/internal/runner"
	"github.com/backlot-video/backlot/services/coordinator/internal/tcc"
)

// script answers with what it is told and keeps what it was asked.
type script struct {
	submission runner.Submission
	key        runner.Key
	before     runner.Cursor
	filter     runner.Filter
	page       []runner.Status
	log        []tcc.Record
	why        string
	err        error
}

func (s *script) Submit(_ context.Context, submission runner.Submission) (runner.Status, error) {
	s.submission = submission
	return s.status(submission.Key), s.err
}

func (s *script) Get(_ context.Context, key runner.Key) (runner.Status, error) {
	s.key = key
	return s.status(key), s.err
}

func (s *script) Retry(ctx context.Context, key runner.Key) (runner.Status, error) {
	return s.Get(ctx, key)
}

func (s *script) Register(_ context.Context, key runner.Key, branch tcc.Branch) error {
	s.key, s.submission.Spec.Branches = key, []tcc.Branch{branch}
	return s.err
}

func (s *script) Confirm(ctx context.Context, key runner.Key, wait runner.Wait) (runner.Status, error) {
	s.submission.Wait = wait
	return s.Get(ctx, key)
}

func (s *script) Cancel(ctx context.Context, key runner.Key, wait runner.Wait, why string) (runner.Status, error) {
	s.submission.Wait, s.why = wait, why
	return s.Get(ctx, key)
}

func (s *script) Force(ctx context.Context, key runner.Key, phase tcc.Phase, branchID, why string) (runner.Status, error) {
	s.why = phase.String() + " " + branchID + " " + why
	return s.Get(ctx, key)
}

func (s *script) Log(_ context.Context, key runner.Key) (runner.Status, []tcc.Record, error) {
	return s.status(key), s.log, s.err
}

func (s *script) List(
	_ context.Context, _ string, filter runner.Filter, before runner.Cursor, limit int,
) ([]runner.Status, runner.Cursor, error) {
	s.filter, s.before = filter, before
	page := s.page[:min(limit, len(s.page))]
	return page, runner.Cursor{CreatedAt: page[len(page)-1].CreatedAt, Key: page[len(page)-1].Key}, s.err
}

func (s *script) status(key runner.Key) runner.Status {
	return runner.Status{
		Transaction: runner.Transaction{
			Key: key, Spec: s.submission.Spec, State: tcc.Confirming, Problem: "p", CreatedAt: time.UnixMicro(7),
		},
		Branches: []tcc.Progress{{State: tcc.BranchConfirmed, Attempts: 2, LastError: "e"}},
	}
}

func TestSubmitConverts(t *testing.T) {
	s := &script{}
	ctx := identity.With(t.Context(), identity.Principal{Kind: identity.Service, ID: "storefront", TenantID: "acme"})
	response, err := New(s, Config{}).Submit(ctx, &coordinatorv1.SubmitRequest{
		Xid: "order-1", Wait: coordinatorv1.Wait_WAIT_CONFIRMED, Timeout: durationpb.New(time.Minute),
		Branches: []*coordinatorv1.BranchSpec{{
			BranchId: "b", Service: "settlement", Action: "pay",
			Payload: &anypb.Any{TypeUrl: "type.googleapis.com/x", Value: []byte("v")},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	got := s.submission
	if got.TenantID != "acme" || got.Wait != runner.WaitConfirmed || got.Timeout != time.Minute || got.Spec.Mode != tcc.TCC ||
		string(got.Spec.Branches[0].Payload) != "v" {
		t.Errorf("asked for %+v", got)
	}
	shown := response.GetTransaction()
	branch := shown.GetBranches()[0]
	if shown.GetState() != coordinatorv1.TransactionState_TRANSACTION_STATE_CONFIRMING || shown.GetCreatedAt() != 7 ||
		branch.GetState() != coordinatorv1.BranchState_BRANCH_STATE_CONFIRMED || branch.GetAttempts() != 2 ||
		branch.GetSpec().GetPayload().GetTypeUrl() != "type.googleapis.com/google.protobuf.Struct" {
		t.Errorf("shown as %v", shown)
	}
}

func TestErrorsHaveCodes(t *testing.T) {
	cases := map[error]connect.Code{
		runner.ErrNotFound: connect.CodeNotFound, runner.ErrConflict: connect.CodeAlreadyExists,
		tcc.ErrSpec: connect.CodeInvalidArgument, runner.ErrStopped: connect.CodeUnavailable,
		runner.ErrLost: connect.CodeUnavailable,
	}
	for err, want := range cases {
		_, got := New(&script{err: err}, Config{}).GetTransaction(t.Context(), &coordinatorv1.GetTransactionRequest{Xid: "x"})
		if connect.CodeOf(got) != want {
			t.Errorf("%v: %v, want %v", err, connect.CodeOf(got), want)
		}
	}
	_, err := New(&script{err: &runner.BusyError{RetryAfter: time.Second}}, Config{}).Submit(t.Context(), &coordinatorv1.SubmitRequest{})
	var refused *connect.Error
	if !errors.As(err, &refused) || refused.Code() != connect.CodeResourceExhausted || len(refused.Details()) != 1 {
		t.Fatalf("got %v", err)
	}
	detail, err := refused.Details()[0].Value()
	if info, ok := detail.(*errdetails.RetryInfo); err != nil || !ok || info.GetRetryDelay().AsDuration() != time.Second {
		t.Errorf("got %v, %v", detail, err)
	}
}

func TestListPages(t *testing.T) {
	s := &script{}
	for range 3 {
		s.page = append(s.page, s.status(runner.Key{TenantID: "main", XID: "a b"}))
	}
	first, err := New(s, Config{}).ListTransactions(t.Context(), &coordinatorv1.ListTransactionsRequest{
		PageSize: 3, XidPrefix: "a%", OlderThan: durationpb.New(time.Minute), States: []coordinatorv1.TransactionState{coordinatorv1.TransactionState_TRANSACTION_STATE_PARKED},
	})
	if err != nil || len(first.GetTransactions()) != 3 || first.GetNextPageToken() == "" || s.filter.States[0] != tcc.Parked || s.filter.OlderThan != time.Minute || s.filter.XIDPrefix != "a%" {
		t.Fatalf("got %v, %v", first, err)
	}
	if _, err := New(s, Config{}).ListTransactions(t.Context(), &coordinatorv1.ListTransactionsRequest{PageToken: first.GetNextPageToken()}); err != nil {
		t.Fatal(err)
	}
	if s.before.XID != "a b" || s.before.CreatedAt.UnixMicro() != 7 {
		t.Errorf("goes on after %+v", s.before)
	}
	_, err = New(s, Config{}).ListTransactions(t.Context(), &coordinatorv1.ListTransactionsRequest{PageToken: "!"})
	if connect.CodeOf(err) != connect.CodeInvalidArgument {
		t.Errorf("a forged token: %v", err)
	}
}

func TestTransactionsOfAnyPayloadCanBeJSON(t *testing.T) {
	known, err := anypb.New(&settlementv1.PayBranch{OrderId: "order-1"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ typeURL, value, want string }{
		{known.GetTypeUrl(), string(known.GetValue()), `"orderId":"order-1"`},
		{"type.googleapis.com/shop.Cart", "v", `"base64":"dg=="`},
		{"", "", `"action":"pay"`},
		{"not \xff text", "v", `"action":"pay"`},
	} {
		spec := tcc.Spec{Branches: []tcc.Branch{{ID: "b", Action: "pay", PayloadType: c.typeURL, Payload: []byte(c.value)}}}
		shown := transaction(runner.Status{Transaction: runner.Transaction{Spec: spec}, Branches: make([]tcc.Progress, 1)})
		text, err := protojson.Marshal(shown)
		if err != nil || !strings.Contains(strings.ReplaceAll(string(text), " ", ""), c.want) {
			t.Errorf("%q: %s, %v", c.typeURL, text, err)
		}
	}
}

func FuzzParseToken(f *testing.F) {
	f.Add("")
	f.Add(token(runner.Cursor{CreatedAt: time.UnixMicro(1), Key: runner.Key{XID: "x"}}))
	f.Fuzz(func(t *testing.T, text string) {
		place, err := parseToken(text)
		if err != nil {
			if !errors.Is(err, errToken) {
				t.Errorf("got %v, want errToken", err)
			}
			return
		}
		if text == "" {
			return
		}
		if again, err := parseToken(token(place)); err != nil || again != place {
			t.Errorf("%+v came back as %+v, %v", place, again, err)
		}
	})
}

func TestFactOfTheEnd(t *testing.T) {
	ended := runner.Transaction{
		Key: runner.Key{TenantID: "acme", XID: "x"}, State: tcc.Cancelled, Problem: "no",
		Spec:   tcc.Spec{NotifyURL: "http://127.0.0.1/ended"},
		Forced: []runner.Forced{{BranchID: "b", State: tcc.BranchCancelled, Reason: "forced by ann"}},
	}
	envelopes, err := Ended(ended)
	if err != nil || len(envelopes) != 2 {
		t.Fatalf("got %v, %v", envelopes, err)
	}
	envelope, due := envelopes[0], envelopes[1]
	if due.GetType() != NotificationDue || due.GetKey() != "x" || !proto.Equal(due.GetData(), envelope.GetData()) {
		t.Errorf("due is %v", due)
	}
	ended.Spec.NotifyURL = ""
	if envelopes, err := Ended(ended); err != nil || len(envelopes) != 1 {
		t.Errorf("without an address: %v, %v", envelopes, err)
	}
	var fact coordinatorv1.TransactionEnded
	if err := envelope.GetData().UnmarshalTo(&fact); err != nil {
		t.Fatal(err)
	}
	if envelope.GetKey() != "x" || envelope.GetTenantId() != "acme" || envelope.GetType() != TransactionEnded ||
		fact.GetState() != coordinatorv1.TransactionState_TRANSACTION_STATE_CANCELLED || fact.GetProblem() != "no" ||
		fact.GetNotifyUrl() != "http://127.0.0.1/ended" || len(fact.GetForced()) != 1 ||
		fact.GetForced()[0].GetOutcome() != coordinatorv1.Outcome_OUTCOME_CANCELLED || fact.GetForced()[0].GetReason() != "forced by ann" {
		t.Errorf("got %v", envelope)
	}
}
