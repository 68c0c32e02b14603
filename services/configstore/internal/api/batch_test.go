package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"

	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	"github.com/backlot-video/backlot/services/configstore/internal/store"
)

// each answers requests by their reasons.
func each(t *testing.T, log *slog.Logger, items ...*configstorev1.ApplyEachRequest_Item) []*configstorev1.ApplyEachResponse_Outcome {
	t.Helper()
	one := func(ctx context.Context, request *configstorev1.ApplyRequest) (*configstorev1.ApplyResponse, error) {
		switch request.GetReason() {
		case "conflict":
			return nil, connect.NewError(connect.CodeAborted, errors.New("changes[0].put: is another by now"))
		case "fault":
			return nil, errors.New("the disk has a secret")
		case "slow":
			<-ctx.Done()
			return nil, coded(ctx.Err())
		case "panic":
			panic("out of order")
		}
		return &configstorev1.ApplyResponse{Release: &configstorev1.Release{Id: request.GetReason()}}, nil
	}
	batch := &Batch{log: log, apply: func(contexts []context.Context, requests []*configstorev1.ApplyRequest, answer func(int, *configstorev1.ApplyResponse, error)) {
		for n, request := range requests {
			response, err := one(contexts[n], request)
			answer(n, response, err)
		}
	}}
	response, err := batch.ApplyEach(t.Context(), &configstorev1.ApplyEachRequest{Items: items})
	if err != nil {
		t.Fatal(err)
	}
	return response.GetOutcomes()
}

func item(reason string) *configstorev1.ApplyEachRequest_Item {
	return &configstorev1.ApplyEachRequest_Item{Request: &configstorev1.ApplyRequest{
		Reason: reason, Changes: []*configstorev1.Change{{Change: &configstorev1.Change_Delete{
			Delete: &configstorev1.Key{Kind: "RateTable", Namespace: "default", Name: "one"},
		}}},
	}}
}

func TestEachReleaseOfABatchHasItsOwnOutcome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var logged strings.Builder
		slow := item("slow")
		slow.Timeout = durationpb.New(time.Second)
		outcomes := each(t, slog.New(slog.NewTextHandler(&logged, nil)),
			item("first"), item("conflict"), slow, item("fault"), &configstorev1.ApplyEachRequest_Item{}, item("last"))
		want := []string{"first", "aborted", "deadline_exceeded", "internal", "invalid_argument", "last"}
		for n, outcome := range outcomes {
			got := outcome.GetResponse().GetRelease().GetId()
			if fault := outcome.GetFault(); fault != nil {
				got = fmt.Sprint(connect.Code(fault.GetCode()))
			}
			if got != want[n] {
				t.Errorf("outcome %d is %s, want %s", n, got, want[n])
			}
		}
		if shown := outcomes[3].GetFault().GetMessage(); strings.Contains(shown, "secret") || !strings.Contains(logged.String(), "secret") {
			t.Errorf("a fault of ours is shown as %q and logged as %q", shown, logged.String())
		}
		invalid := outcomes[4].GetFault()
		if !strings.Contains(invalid.GetMessage(), "changes") || len(invalid.GetDetails()) != 1 {
			t.Errorf("an empty request is refused by %v, which has to name the field and have the violations", invalid)
		}
	})
}

func TestAPanicOfABatchIsTheCalls(t *testing.T) {
	defer func() {
		if value := recover(); value != "out of order" {
			t.Errorf("recovered %v", value)
		}
	}()
	each(t, slog.New(slog.DiscardHandler), item("first"), item("panic"))
}

func TestEachReadOfABatchHasItsOwnOutcome(t *testing.T) {
	var logged strings.Builder
	batch := &Batch{log: slog.New(slog.NewTextHandler(&logged, nil)), read: func(_ context.Context, requests []*configstorev1.GetRequest, answer func(int, *configstorev1.GetResponse, error)) {
		for n, request := range requests {
			switch name := request.GetKey().GetName(); name {
			case "missing":
				answer(n, nil, coded(store.ErrNotFound))
			case "fault":
				answer(n, nil, errors.New("the disk has a secret"))
			case "large":
				answer(n, &configstorev1.GetResponse{Object: &configstorev1.Object{Spec: &anypb.Any{Value: make([]byte, maxAnswer)}}}, nil)
			default:
				answer(n, &configstorev1.GetResponse{Object: &configstorev1.Object{Key: request.GetKey()}}, nil)
			}
		}
	}}
	var requests []*configstorev1.GetRequest
	for _, name := range []string{"first", "missing", "", "fault", "second", "large"} {
		requests = append(requests, &configstorev1.GetRequest{Key: &configstorev1.Key{Kind: "RateTable", Name: name}})
	}
	response, err := batch.GetEach(t.Context(), &configstorev1.GetEachRequest{Requests: requests})
	if err != nil || len(response.GetOutcomes()) != len(requests) {
		t.Fatalf("%v, %v", response, err)
	}
	for n, want := range []string{"first", "not_found", "invalid_argument", "internal", "second", "alone"} {
		outcome := response.GetOutcomes()[n]
		got := outcome.GetResponse().GetObject().GetKey().GetName()
		if fault := outcome.GetFault(); fault != nil {
			got = fmt.Sprint(connect.Code(fault.GetCode()))
		} else if outcome.GetResponse() == nil {
			got = "alone"
		}
		if got != want {
			t.Errorf("outcome %d is %s, want %s", n, got, want)
		}
	}
	if shown := response.GetOutcomes()[3].GetFault().GetMessage(); strings.Contains(shown, "secret") || !strings.Contains(logged.String(), "secret") {
		t.Errorf("a fault of ours is shown as %q and logged as %q", shown, logged.String())
	}
}
