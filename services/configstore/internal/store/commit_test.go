package store

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	gatewayv1 "github.com/backlot-video/backlot/proto/gen/backlot/gateway/v1"
	"github.com/backlot-video/backlot/services/configstore/internal/engine"
	"github.com/backlot-video/backlot/services/configstore/internal/object"
)

// held is an engine whose transactions wait to be let through.
type held struct {
	transactor
	begun chan *pb.TxnRequest
	let   chan struct{}
}

func (h *held) Txn(ctx context.Context, request *pb.TxnRequest) (*pb.TxnResponse, error) {
	h.begun <- request
	<-h.let
	return h.transactor.Txn(ctx, request)
}

// openHeld runs a store whose commits are held.
func openHeld(t *testing.T) (*Store, *held) {
	t.Helper()
	s := openPlain(t)
	h := &held{transactor: s.engine, begun: make(chan *pb.TxnRequest, 100), let: make(chan struct{})}
	s.commits.engine, s.commits.late = h, time.Hour
	return s, h
}

func grant(name, subject string) *configstorev1.Change {
	spec, err := anypb.New(&configstorev1.Grant{
		Subjects: []string{"operator/" + subject}, Verbs: []configstorev1.Grant_Verb{configstorev1.Grant_VERB_READ},
	})
	if err != nil {
		panic(err)
	}
	return put("Grant", name, spec)
}

func cluster(name string) *configstorev1.Change {
	spec, err := anypb.New(&gatewayv1.Cluster{Endpoints: &gatewayv1.Cluster_Service{Service: "s"}})
	if err != nil {
		panic(err)
	}
	return put("Cluster", name, spec)
}

func route(name, cluster string) *configstorev1.Change {
	spec, err := anypb.New(&gatewayv1.Route{
		Path: &gatewayv1.PathMatch{Match: &gatewayv1.PathMatch_Prefix{Prefix: "/"}}, Target: &gatewayv1.Route_Cluster{Cluster: cluster},
	})
	if err != nil {
		panic(err)
	}
	return put("Route", name, spec)
}

func put(kind, name string, spec *anypb.Any) *configstorev1.Change {
	return &configstorev1.Change{Change: &configstorev1.Change_Put{Put: &configstorev1.Object{
		Key: &configstorev1.Key{Kind: kind, Name: name}, Spec: spec,
	}}}
}

func without(kind, name string) *configstorev1.Change {
	return &configstorev1.Change{Change: &configstorev1.Change_Delete{Delete: &configstorev1.Key{Kind: kind, Name: name}}}
}

func request(reason string, changes ...*configstorev1.Change) Request {
	return Request{Tenant: "main", Author: "operator/test", Reason: reason, Changes: changes}
}

// applied is how an Apply ended.
type applied struct {
	Result
	err error
}

// together queues releases while two others are on their way, and lets them go
// at once. meanwhile runs before.
func together(t *testing.T, s *Store, h *held, meanwhile func(), requests ...Request) []applied {
	t.Helper()
	var work sync.WaitGroup
	outcomes := make([]applied, len(requests))
	for _, name := range []string{"blocker-a", "blocker-b"} {
		work.Go(func() {
			if _, err := s.Apply(t.Context(), request(name, grant(name, fmt.Sprint(s.Hub().Revision())))); err != nil {
				t.Error(err)
			}
		})
		<-h.begun
	}
	for n, r := range requests {
		work.Go(func() { outcomes[n].Result, outcomes[n].err = s.Apply(t.Context(), r) })
		for s.commits.waiting() <= n {
			runtime.Gosched()
		}
	}
	if meanwhile != nil {
		meanwhile()
	}
	ended := make(chan struct{})
	go func() { work.Wait(); close(ended) }()
	for {
		select {
		case h.let <- struct{}{}:
		case <-ended:
			for len(h.begun) > 0 {
				<-h.begun
			}
			return outcomes
		}
	}
}

// pass applies one release that is let through.
func (h *held) pass(t *testing.T, s *Store, r Request) Result {
	t.Helper()
	go func() { <-h.begun; h.let <- struct{}{} }()
	result, err := s.Apply(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

func reasons(t *testing.T, s *Store, page int) string {
	t.Helper()
	var all []string
	for before, more := "", true; more; {
		var releases []*configstorev1.Release
		var err error
		if releases, more, err = s.Releases(t.Context(), "main", before, page); err != nil {
			t.Fatal(err)
		}
		for _, r := range releases {
			before = r.GetId()
			if !strings.HasPrefix(r.GetReason(), "blocker") {
				all = append(all, r.GetReason())
			}
		}
	}
	return strings.Join(all, " ")
}

func TestReleasesOfOneTransactionStayReleases(t *testing.T) {
	s, h := openHeld(t)
	before := h.pass(t, s, request("before", grant("a", "one"), grant("b", "one"), grant("c", "one"), grant("gone", "one")))
	sub, err := s.Subscribe(t.Context(), "main", "Grant", "", before.Release.GetRevision())
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Close()
	outcomes := together(t, s, h, nil,
		request("first", grant("a", "two"), grant("b", "two")), request("second", without("Grant", "gone")), request("third", grant("c", "two")))
	for n, o := range outcomes {
		if o.err != nil {
			t.Fatal(o.err)
		}
		if o.Release.GetRevision() != outcomes[0].Release.GetRevision() {
			t.Errorf("release %d has revision %d, the first %d: they did not share a transaction", n, o.Release.GetRevision(), outcomes[0].Release.GetRevision())
		}
		got, err := s.Release(t.Context(), "main", o.Release.GetId())
		if err != nil || !proto.Equal(got, o.Release) {
			t.Errorf("release %d is stored as %v, %v", n, got, err)
		}
	}
	for _, page := range []int{1, 2, 3, 100} {
		if got := reasons(t, s, page); got != "third second first before" {
			t.Errorf("in pages of %d: %s", page, got)
		}
	}

	var seen []string
	for len(seen) < 6 { // two are the blockers'
		batch, err := sub.Next()
		if err != nil {
			t.Fatal(err)
		}
		for _, event := range batch.Events {
			o := event.GetObject()
			seen = append(seen, o.GetKey().GetName())
			want := map[string]int{"a": 0, "b": 0, "gone": 1, "c": 2}
			if n, ours := want[o.GetKey().GetName()]; ours && o.GetReleaseId() != outcomes[n].Release.GetId() {
				t.Errorf("event of %s is of release %s, want that of %d", o.GetKey().GetName(), o.GetReleaseId(), n)
			}
		}
		if slices.Contains(seen, "a") != slices.Contains(seen, "c") {
			t.Errorf("a batch ends within a revision: %v", seen)
		}
	}

	go func() { <-h.begun; h.let <- struct{}{} }()
	undone, err := s.Rollback(t.Context(), Rollback{Tenant: "main", ReleaseID: outcomes[1].Release.GetId()})
	if err != nil || len(undone.Release.GetKeys()) != 1 {
		t.Fatalf("rollback: %v, %v", undone, err)
	}
	for name, want := range map[string]string{"a": "two", "b": "two", "c": "two", "gone": "one"} {
		versions, _, err := s.History(t.Context(), object.Key{Tenant: "main", Kind: "Grant", Name: name}, 10)
		if err != nil || len(versions) < 2 {
			t.Fatalf("history of %s: %v, %v", name, versions, err)
		}
		now := new(configstorev1.Grant)
		if err := versions[0].GetObject().GetSpec().UnmarshalTo(now); err != nil || now.GetSubjects()[0] != "operator/"+want {
			t.Errorf("%s is %v, want %s; %v", name, now, want, err)
		}
	}
}

func TestOneOfATransactionThatFailsLeavesTheOthersAlone(t *testing.T) {
	s, h := openHeld(t)
	h.pass(t, s, request("before", grant("a", "one"), grant("b", "one")))
	overtake := func() { // as another member does
		key := object.Key{Tenant: "main", Kind: "Grant", Name: "b"}
		_, err := h.transactor.Txn(t.Context(), &pb.TxnRequest{Success: []*pb.RequestOp{deleteOp(key.Path())}})
		if err != nil {
			t.Fatal(err)
		}
	}
	stale := grant("b", "two")
	o, err := s.Get(t.Context(), object.Key{Tenant: "main", Kind: "Grant", Name: "b"})
	if err != nil {
		t.Fatal(err)
	}
	stale.ExpectedRevision = o.GetRevision()
	outcomes := together(t, s, h, overtake, request("good", grant("a", "two")), request("stale", stale), request("fine", grant("c", "two")))
	if outcomes[0].err != nil || outcomes[2].err != nil || outcomes[0].Release.GetRevision() != outcomes[2].Release.GetRevision() {
		t.Errorf("good: %v, fine: %v", outcomes[0], outcomes[2])
	}
	if !errors.Is(outcomes[1].err, object.ErrConflict) {
		t.Errorf("stale: %v", outcomes[1].err)
	}
	for _, page := range []int{1, 2, 100} {
		if got := reasons(t, s, page); got != "fine good before" {
			t.Errorf("in pages of %d: %s", page, got)
		}
	}
	good, err := uuid.Parse(outcomes[0].Release.GetId())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Release(t.Context(), "main", batchID(good).of(1)); !errors.Is(err, ErrNotFound) {
		t.Errorf("the release that was not made: %v", err)
	}
}

func TestOneThatWasOvertakenIsTriedAgain(t *testing.T) {
	s, h := openHeld(t)
	h.pass(t, s, request("before", cluster("a")))
	overtake := func() {
		key := object.Key{Tenant: "main", Kind: "Cluster", Name: "a"}
		if _, err := h.transactor.Txn(t.Context(), &pb.TxnRequest{Success: []*pb.RequestOp{deleteOp(key.Path())}}); err != nil {
			t.Fatal(err)
		}
	}
	outcomes := together(t, s, h, overtake, request("to-nowhere", route("r", "a")), request("beside", grant("c", "one")))
	if !errors.Is(outcomes[0].err, object.ErrReference) || outcomes[1].err != nil {
		t.Errorf("to a cluster that went: %v; beside it: %v", outcomes[0].err, outcomes[1].err)
	}
}

func TestReleaseThatNobodyWaitsForIsNotWritten(t *testing.T) {
	s, h := openHeld(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	gone := errors.New("gone")
	outcomes := together(t, s, h, func() {
		left := make(chan error)
		go func() {
			_, err := s.Apply(ctx, request("withdrawn", grant("x", "one")))
			left <- err
		}()
		for s.commits.waiting() < 2 {
			runtime.Gosched()
		}
		cancel(gone)
		if err := <-left; !errors.Is(err, gone) {
			t.Errorf("err = %v", err)
		}
	}, request("stays", grant("y", "one")))
	if got := reasons(t, s, 10); got != "stays" || outcomes[0].err != nil {
		t.Errorf("written: %s, %v", got, outcomes[0].err)
	}
	if s.commits.bytes != 0 || len(s.locks.held) != 0 {
		t.Errorf("%d bytes and %d locks are left", s.commits.bytes, len(s.locks.held))
	}
}

func TestCloseRefusesWhatHasNotBegun(t *testing.T) {
	s, h := openHeld(t)
	var work sync.WaitGroup
	outcomes := make([]error, 3)
	for n := range outcomes {
		work.Go(func() { _, outcomes[n] = s.Apply(t.Context(), request("r", grant(fmt.Sprint(n), "one"))) })
		if n < 2 {
			<-h.begun
		}
	}
	for s.commits.waiting() < 1 {
		runtime.Gosched()
	}
	closed := make(chan struct{})
	go func() { s.Close(); close(closed) }()
	for s.commits.waiting() > 0 {
		runtime.Gosched()
	}
	h.let <- struct{}{}
	h.let <- struct{}{}
	work.Wait()
	<-closed
	if outcomes[0] != nil || outcomes[1] != nil || !errors.Is(outcomes[2], engine.ErrClosed) {
		t.Errorf("got %v", outcomes)
	}
	if _, err := s.Apply(t.Context(), request("late", grant("z", "one"))); !errors.Is(err, engine.ErrClosed) {
		t.Errorf("after the end: %v", err)
	}
}

func TestQueueIsBounded(t *testing.T) {
	c := newCommitter(nil, nil, nil)
	c.inFlight = len(wanted)
	for range maxQueued {
		if _, err := c.enqueue(&write{bytes: 1}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.enqueue(&write{}); !errors.Is(err, ErrBusy) {
		t.Errorf("one too many: %v", err)
	}
	c = newCommitter(nil, nil, nil)
	c.inFlight = len(wanted)
	for _, want := range []error{nil, ErrBusy} {
		if _, err := c.enqueue(&write{bytes: maxQueuedBytes + 1}); !errors.Is(err, want) {
			t.Errorf("large: %v, want %v", err, want)
		}
	}
}

func TestWhatCollidesDoesNotShareATransaction(t *testing.T) {
	writes := func(keys ...string) *write { return &write{keys: keys, ops: make([]encodedOp, len(keys))} }
	cases := map[string]struct {
		first, second *write
		share         bool
	}{
		"different objects":        {writes("a"), writes("b"), true},
		"one object":               {writes("a", "b"), writes("b"), false},
		"refers to what is put":    {writes("a"), &write{keys: []string{"b"}, checked: []string{"a"}}, false},
		"puts what is referred to": {&write{keys: []string{"b"}, checked: []string{"a"}}, writes("a"), false},
		"both refer":               {&write{keys: []string{"b"}, checked: []string{"a"}}, &write{keys: []string{"c"}, checked: []string{"a"}}, true},
		"a range is compared":      {writes("a"), &write{keys: []string{"b"}, alone: true}, false},
		"beside a range":           {&write{keys: []string{"b"}, alone: true}, writes("a"), false},
		"too large together":       {writes("a"), &write{keys: []string{"b"}, bytes: maxBatchBytes + 1}, false},
	}
	for name, c := range cases {
		b := batcher{keys: make(map[string]bool)}
		if !b.add(c.first) || b.add(c.second) != c.share {
			t.Errorf("%s: want %v", name, c.share)
		}
	}
}

func TestManyAtOnceAreAllThereOnce(t *testing.T) {
	s, _ := openHeld(t)
	s.commits.engine = s.engine
	const workers, each, objects = 16, 12, 5
	var work sync.WaitGroup
	for w := range workers {
		work.Go(func() {
			for n := range each {
				name := fmt.Sprintf("o%d", (w+n)%objects)
				if w%2 == 0 {
					name = fmt.Sprintf("own-%d-%d", w, n)
				}
				if _, err := s.Apply(t.Context(), request(fmt.Sprintf("%d-%d", w, n), grant(name, fmt.Sprintf("%d-%d", w, n)))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	work.Wait()
	seen := strings.Fields(reasons(t, s, 7))
	slices.Sort(seen)
	if len(seen) != workers*each || len(slices.Compact(seen)) != workers*each {
		t.Errorf("%d releases, want %d", len(seen), workers*each)
	}
	for n := range objects {
		versions, _, err := s.History(t.Context(), object.Key{Tenant: "main", Kind: "Grant", Name: fmt.Sprintf("o%d", n)}, 1000)
		if err != nil {
			t.Fatal(err)
		}
		for i, v := range versions {
			if i > 0 && v.GetRevision() >= versions[i-1].GetRevision() {
				t.Errorf("o%d: version %d is not older than the one before", n, i)
			}
			spec := new(configstorev1.Grant)
			if err := v.GetObject().GetSpec().UnmarshalTo(spec); err != nil || spec.GetSubjects()[0] != "operator/"+v.GetRelease().GetReason() {
				t.Errorf("o%d: version %d is %v by release %s, %v", n, i, spec, v.GetRelease().GetReason(), err)
			}
		}
	}
}

func FuzzParseRecord(f *testing.F) {
	record := appendRecord(nil, []byte{0x12, 1, 'a'}, strings.Repeat("0", 36))
	f.Add(record)
	f.Add(append(record, record...))
	f.Add([]byte{0xff, 0xff})
	f.Fuzz(func(t *testing.T, record []byte) {
		releases, err := parseRecord(record)
		if err == nil && (len(releases) > 0) != (len(record) > 0) {
			t.Errorf("%d releases in %d bytes", len(releases), len(record))
		}
	})
}
