package configclient

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/backlot-video/backlot/kit/identity"
	"github.com/backlot-video/backlot/kit/rpc"
	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	"github.com/backlot-video/backlot/proto/rpcdesc"
)

// member answers a release by its reason, a batch after a round trip.
type member struct {
	mu     sync.Mutex
	alone  int
	sizes  []int
	longs  []*durationpb.Duration
	tenant []string

	hold chan struct{} // nil: a call takes a millisecond
	err  error         // of a whole batch
}

func (m *member) Call(ctx context.Context, _ *rpcdesc.Method, req, res proto.Message) error {
	m.note(ctx, req)
	if m.hold != nil {
		<-m.hold
	} else {
		time.Sleep(time.Millisecond) // of the bubble's clock
	}
	switch req := req.(type) {
	case *configstorev1.ApplyRequest:
		proto.Merge(res, answer(req))
	case *configstorev1.GetRequest:
		proto.Merge(res, object(req))
	case *configstorev1.GetEachRequest:
		if m.err != nil {
			return m.err
		}
		for _, one := range req.GetRequests() {
			res.(*configstorev1.GetEachResponse).Outcomes = append(res.(*configstorev1.GetEachResponse).GetOutcomes(), read(one))
		}
	case *configstorev1.ApplyEachRequest:
		if m.err != nil {
			return m.err
		}
		for _, item := range req.GetItems() {
			one := &configstorev1.ApplyEachResponse_Outcome{Outcome: &configstorev1.ApplyEachResponse_Outcome_Response{Response: answer(item.GetRequest())}}
			switch item.GetRequest().GetReason() {
			case "bad":
				one.Outcome = &configstorev1.ApplyEachResponse_Outcome_Fault{Fault: &configstorev1.ApplyEachResponse_Fault{
					Code: uint32(connect.CodeAborted), Message: "changes[0].put: is another by now",
				}}
			case "nothing":
				one.Outcome = nil
			}
			res.(*configstorev1.ApplyEachResponse).Outcomes = append(res.(*configstorev1.ApplyEachResponse).GetOutcomes(), one)
		}
	}
	return nil
}

func (m *member) note(ctx context.Context, req proto.Message) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if reads, many := req.(*configstorev1.GetEachRequest); many {
		m.sizes = append(m.sizes, len(reads.GetRequests()))
		return
	}
	each, many := req.(*configstorev1.ApplyEachRequest)
	if !many {
		m.alone++
		return
	}
	m.sizes = append(m.sizes, len(each.GetItems()))
	m.longs = append(m.longs, each.GetItems()[0].GetTimeout())
	m.tenant = append(m.tenant, identity.Tenant(ctx))
}

func answer(request *configstorev1.ApplyRequest) *configstorev1.ApplyResponse {
	return &configstorev1.ApplyResponse{Release: &configstorev1.Release{Id: request.GetReason()}}
}

func release(reason string) *configstorev1.ApplyRequest {
	return &configstorev1.ApplyRequest{Reason: reason, Changes: make([]*configstorev1.Change, 1)}
}

func TestReleasesThatComeTogetherShareCallsAndHaveTheirOwnAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := new(member)
		client := New(m, nil)
		var work sync.WaitGroup
		for n := range 64 {
			work.Go(func() {
				for turn := range 20 {
					reason := fmt.Sprintf("%d of %d", turn, n)
					got, err := client.Apply(t.Context(), release(reason))
					if err != nil || got.GetRelease().GetId() != reason {
						t.Errorf("release %q is answered by %v, %v", reason, got, err)
					}
				}
			})
		}
		work.Wait()
		if calls := m.alone + len(m.sizes); calls > 20*64/8 {
			t.Errorf("%d calls for %d releases: %d alone, batches of %v", calls, 20*64, m.alone, m.sizes)
		}
	})
}

func TestOneAfterTheOtherGoAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := new(member)
		client := New(m, nil)
		for range 5 {
			if _, err := client.Apply(t.Context(), release("one")); err != nil {
				t.Fatal(err)
			}
		}
		if m.alone != 5 || len(m.sizes) != 0 {
			t.Errorf("%d alone, batches of %v", m.alone, m.sizes)
		}
	})
}

// behind makes calls that wait for a release that was there first.
func behind(t *testing.T, m *member, calls ...func(*Client)) {
	t.Helper()
	behindOne(t, m, func(c *Client) { _, _ = c.Apply(t.Context(), release("first")) }, calls)
}

// behindOne makes calls that wait for one that was there first and takes
// slowAfter/2.
func behindOne(t *testing.T, m *member, first func(*Client), calls []func(*Client)) {
	t.Helper()
	client := New(m, nil)
	m.hold = make(chan struct{})
	var work sync.WaitGroup
	work.Go(func() { first(client) })
	synctest.Wait()
	for _, call := range calls {
		work.Go(func() { call(client) })
		synctest.Wait()
	}
	time.Sleep(slowAfter / 2)
	close(m.hold)
	work.Wait()
}

func TestErrorsOfOneReleaseAreItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		expect := func(reason string, want connect.Code) func(*Client) {
			return func(c *Client) {
				_, err := c.Apply(t.Context(), release(reason))
				if want == 0 && err != nil || want != 0 && (err == nil || connect.CodeOf(err) != want) {
					t.Errorf("%s: %v, want %v", reason, err, want)
				}
			}
		}
		behind(t, new(member), expect("good", 0), expect("bad", connect.CodeAborted), expect("nothing", connect.CodeInternal), expect("good", 0))
		lost := &member{err: connect.NewWireError(connect.CodeUnavailable, errors.New("cannot be reached"))}
		behind(t, lost, expect("good", connect.CodeUnavailable), expect("good", connect.CodeUnavailable))
	})
}

func TestTenantsAreNotMixedAndDeadlinesGoAlong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := new(member)
		as := func(tenant string, limit time.Duration) func(*Client) {
			return func(c *Client) {
				ctx, cancel := context.WithTimeout(identity.With(t.Context(), identity.Principal{Kind: identity.Service, TenantID: tenant}), limit)
				defer cancel()
				if _, err := c.Apply(ctx, release(tenant)); err != nil {
					t.Error(err)
				}
			}
		}
		behind(t, m, as("a", time.Second), as("b", time.Minute), as("a", time.Hour))
		if fmt.Sprint(m.tenant, m.sizes) != "[a b] [2 1]" {
			t.Errorf("batches of tenants %v have sizes %v", m.tenant, m.sizes)
		}
		for n, most := range []time.Duration{time.Second, time.Minute} {
			if got := m.longs[n].AsDuration(); got <= 0 || got > most {
				t.Errorf("timeout of %v, want at most %v", got, most)
			}
		}
	})
}

func TestWhoeverGivesUpIsNotWaitedForAndNotSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := new(member)
		behind(t, m, func(c *Client) {
			ctx, cancel := context.WithTimeout(t.Context(), slowAfter/4)
			defer cancel()
			if _, err := c.Apply(ctx, release("late")); connect.CodeOf(err) != connect.CodeDeadlineExceeded {
				t.Errorf("%v, want DeadlineExceeded", err)
			}
		})
		synctest.Wait()
		for _, size := range m.sizes {
			t.Errorf("sent in a batch of %d", size)
		}
	})
}

func TestASlowCallKeepsNobodyElseWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &member{hold: make(chan struct{})}
		client := New(m, nil)
		var work sync.WaitGroup
		for range 2 {
			work.Go(func() { _, _ = client.Apply(t.Context(), release("stuck")) })
			synctest.Wait()
		}
		time.Sleep(slowAfter)
		synctest.Wait()
		m.mu.Lock()
		if m.alone != 1 || len(m.sizes) != 1 {
			t.Errorf("%d alone and batches of %v are on their way, want one each", m.alone, m.sizes)
		}
		m.mu.Unlock()
		close(m.hold)
		work.Wait()
	})
}

func TestTooManyAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &member{hold: make(chan struct{})}
		client := New(m, nil)
		var work sync.WaitGroup
		var mu sync.Mutex
		refused := 0
		for range 2 * maxQueued {
			work.Go(func() {
				if _, err := client.Apply(t.Context(), release("one")); connect.CodeOf(err) == connect.CodeResourceExhausted && err != nil {
					mu.Lock()
					defer mu.Unlock()
					refused++
				}
			})
		}
		synctest.Wait()
		close(m.hold)
		work.Wait()
		synctest.Wait()
		client.queue.mu.Lock()
		defer client.queue.mu.Unlock()
		if refused == 0 || len(client.queue.waiting) != 0 || client.queue.inFlight != 0 || client.queue.slow != 0 {
			t.Errorf("%d refused; left: %d wait, %d in flight, %d slow", refused, len(client.queue.waiting), client.queue.inFlight, client.queue.slow)
		}
	})
}

func TestWhatIsNotTheServicesOwnGoesAlone(t *testing.T) {
	dry, large := release("dry"), release("large")
	dry.DryRun, large.Changes = true, make([]*configstorev1.Change, maxChanges+1)
	if shares(t.Context(), dry) || shares(t.Context(), large) || shares(rpc.AsCaller(t.Context()), release("caller's")) {
		t.Error("a dry run, a large release or one of a caller shares")
	}
	if !shares(t.Context(), release("plain")) {
		t.Error("a plain release does not share")
	}
}

func TestEveryReleaseHasARequestIDOfItsOwn(t *testing.T) {
	request := release("again")
	first, second := identified(request), identified(request)
	if first.GetRequestId() == "" || first.GetRequestId() == second.GetRequestId() || request.GetRequestId() != "" {
		t.Errorf("ids %q and %q, and %q of the caller's request", first.GetRequestId(), second.GetRequestId(), request.GetRequestId())
	}
	if first.GetReason() != "again" || len(first.GetChanges()) != 1 {
		t.Errorf("sent: %v", first)
	}
	if again := identified(first); again != first {
		t.Error("an id that the caller gave is not kept")
	}
	if dry := identified(&configstorev1.ApplyRequest{DryRun: true}); dry.GetRequestId() != "" {
		t.Error("a dry run has an id")
	}
}
