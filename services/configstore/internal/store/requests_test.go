package store

import (
	"testing"

	"github.com/google/uuid"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/protobuf/proto"

	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
)

func TestOldestRequestsAreForgotten(t *testing.T) {
	r := newRequests()
	r.limit = 3
	for n := range byte(5) {
		r.add(requested{request: requestKey{"main", uuid.UUID{n}}, revision: int64(n)})
		r.add(requested{request: requestKey{"main", uuid.UUID{n}}, revision: 99}) // again
	}
	for n := range byte(5) {
		found, known := r.find(requestKey{"main", uuid.UUID{n}})
		if known != (n >= 2) || known && found.revision != int64(n) {
			t.Errorf("request %d: %v, %v", n, found, known)
		}
	}
	if r.size() != 3 {
		t.Errorf("%d are known, want 3", r.size())
	}
}

// record is the event of a record of two releases, and their requests.
func record(t testing.TB, tenant string) (event *mvccpb.Event, ids batchID, requests [2]uuid.UUID) {
	t.Helper()
	ids, err := newBatchID()
	if err != nil {
		t.Fatal(err)
	}
	var value []byte
	for n := range 2 {
		requests[n] = uuid.New()
		release, err := proto.Marshal(&configstorev1.Release{
			Author: "a", Reason: "because", RequestId: requests[n].String(), Keys: []*configstorev1.Key{{Kind: "Cluster", Name: "a"}},
		})
		if err != nil {
			t.Fatal(err)
		}
		value = appendRecord(value, release, ids.of(n))
	}
	kv := &mvccpb.KeyValue{Key: []byte(recordPath(tenant, ids.of(0))), Value: value, ModRevision: 7}
	return &mvccpb.Event{Kv: kv}, ids, requests
}

func TestReleasesThatWereNotMadeAreNotKnown(t *testing.T) {
	r := newRequests()
	first, firstIDs, firstRequests := record(t, "main")
	second, secondIDs, secondRequests := record(t, "other")
	mark := func(tenant string, ids batchID, n int) *mvccpb.Event {
		return &mvccpb.Event{Kv: &mvccpb.KeyValue{Key: []byte(voidPath(tenant, ids.of(0), ids.of(n))), ModRevision: 7}}
	}
	for _, event := range []*mvccpb.Event{mark("main", firstIDs, 0), mark("other", secondIDs, 1), first, second} {
		if err := r.take(event); err != nil {
			t.Fatal(err)
		}
	}
	for n, want := range []bool{false, true} {
		if _, known := r.find(requestKey{"main", firstRequests[n]}); known != want {
			t.Errorf("request %d of the first record is known: %v, want %v", n, known, want)
		}
		if _, known := r.find(requestKey{"other", secondRequests[n]}); known == want {
			t.Errorf("request %d of the second record is known: %v, want %v", n, known, !want)
		}
	}
}

func FuzzRecordOfRequests(f *testing.F) {
	event, _, _ := record(f, "main")
	f.Add(event.GetKv().GetValue())
	f.Fuzz(func(t *testing.T, value []byte) {
		kv := &mvccpb.KeyValue{Key: []byte("k"), Value: value}
		all, err := requestsOf(kv, "main")
		if err != nil {
			return
		}
		releases, err := parseRecord(value)
		if err != nil {
			return // of fields that are not looked at here
		}
		known := 0
		for _, release := range releases {
			if release.GetRequestId() != "" {
				known++
			}
		}
		if known != len(all) {
			t.Errorf("%d requests, want %d", len(all), known)
		}
	})
}

func BenchmarkRecordOfRequests(b *testing.B) {
	event, _, _ := record(b, "main")
	for b.Loop() {
		if _, err := requestsOf(event.GetKv(), "main"); err != nil {
			b.Fatal(err)
		}
	}
}
