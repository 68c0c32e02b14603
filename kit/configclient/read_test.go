package configclient

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"

	"connectrpc.com/connect"

	"github.com/backlot-video/backlot/kit/rpc"
	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
)

// object is what member answers a read by.
func object(request *configstorev1.GetRequest) *configstorev1.GetResponse {
	return &configstorev1.GetResponse{Object: &configstorev1.Object{Key: request.GetKey()}}
}

// read is the same within a batch.
func read(request *configstorev1.GetRequest) *configstorev1.GetEachResponse_Outcome {
	switch request.GetKey().GetName() {
	case "missing":
		return &configstorev1.GetEachResponse_Outcome{Outcome: &configstorev1.GetEachResponse_Outcome_Fault{Fault: &configstorev1.ApplyEachResponse_Fault{
			Code: uint32(connect.CodeNotFound), Message: "object not found",
		}}}
	case "large":
		return new(configstorev1.GetEachResponse_Outcome)
	}
	return &configstorev1.GetEachResponse_Outcome{Outcome: &configstorev1.GetEachResponse_Outcome_Response{Response: object(request)}}
}

func named(name string) *configstorev1.GetRequest {
	return &configstorev1.GetRequest{Key: &configstorev1.Key{Kind: "RateTable", Name: name}}
}

func TestReadsThatComeTogetherShareCallsAndHaveTheirOwnAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := new(member)
		client := New(m, nil)
		var work sync.WaitGroup
		for n := range 64 {
			work.Go(func() {
				for turn := range 20 {
					name := fmt.Sprintf("%d of %d", turn, n)
					got, err := client.Get(t.Context(), named(name))
					if err != nil || got.GetObject().GetKey().GetName() != name {
						t.Errorf("read of %q is answered by %v, %v", name, got, err)
					}
				}
			})
		}
		work.Wait()
		if calls := m.alone + len(m.sizes); calls > 20*64/8 {
			t.Errorf("%d calls for %d reads: %d alone, batches of %v", calls, 20*64, m.alone, m.sizes)
		}
	})
}

// readBehind makes reads that wait for one that was there first.
func readBehind(t *testing.T, m *member, reads ...func(*Client)) {
	t.Helper()
	behindOne(t, m, func(c *Client) { _, _ = c.Get(t.Context(), named("first")) }, reads)
}

func TestErrorsOfOneReadAreItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		expect := func(name string, want connect.Code) func(*Client) {
			return func(c *Client) {
				got, err := c.Get(t.Context(), named(name))
				if want == 0 && (err != nil || got.GetObject().GetKey().GetName() != name) || want != 0 && (err == nil || connect.CodeOf(err) != want) {
					t.Errorf("%s: %v, %v, want %v", name, got, err, want)
				}
			}
		}
		m := new(member)
		readBehind(t, m, expect("good", 0), expect("missing", connect.CodeNotFound), expect("large", 0), expect("good", 0))
		if m.alone != 2 || len(m.sizes) != 1 {
			t.Errorf("%d reads went alone, and batches of %v: want the first and the large one alone", m.alone, m.sizes)
		}
		lost := &member{err: connect.NewWireError(connect.CodeUnavailable, errors.New("cannot be reached"))}
		readBehind(t, lost, expect("good", connect.CodeUnavailable), expect("good", connect.CodeUnavailable))
	})
}

func TestReadsGoAloneToAMemberThatKnowsNoOtherWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		old := &member{err: connect.NewWireError(connect.CodeUnimplemented, errors.New("GetEach is not served here"))}
		get := func(c *Client) {
			if _, err := c.Get(t.Context(), named("good")); err != nil {
				t.Error(err)
			}
		}
		readBehind(t, old, get, get, get)
		if old.alone != 4 {
			t.Errorf("%d reads went alone, want 4", old.alone)
		}
	})
}

func TestWhoeverGivesUpAReadIsNotWaitedForAndNotSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := new(member)
		readBehind(t, m, func(c *Client) {
			ctx, cancel := context.WithTimeout(t.Context(), slowAfter/4)
			defer cancel()
			if _, err := c.Get(ctx, named("late")); connect.CodeOf(err) != connect.CodeDeadlineExceeded {
				t.Errorf("%v, want DeadlineExceeded", err)
			}
		})
		synctest.Wait()
		if len(m.sizes) != 0 {
			t.Errorf("sent in batches of %v", m.sizes)
		}
	})
}

func TestReadsOfThePastAndOfCallersGoAlone(t *testing.T) {
	past, canary := named("past"), named("canary")
	past.Revision, canary.Subscriber = 7, new(configstorev1.Subscriber)
	if sharesRead(t.Context(), past) || sharesRead(t.Context(), canary) || sharesRead(rpc.AsCaller(t.Context()), named("caller's")) {
		t.Error("a read of a revision, of a subscriber or of a caller shares")
	}
	if !sharesRead(t.Context(), named("plain")) {
		t.Error("a plain read does not share")
	}
}
