package store

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/backlot-video/backlot/services/configstore/internal/engine"
)

// How long releases are known by their requests: the newest ones, and none
// that is older than the newest of its tenant by more than requestAge.
const (
	maxRequests = 131_072
	requestAge  = 10 * time.Minute
	// requestPage is how many records are read at once at start.
	requestPage = 500
)

// requestKey names a request.
type requestKey struct {
	tenant string
	id     uuid.UUID
}

// requested is the release that was made for a request.
type requested struct {
	request  requestKey
	release  uuid.UUID
	revision int64
}

// requests knows the newest releases by the requests that they were made for.
// It follows the records of releases, those of other members among them, and
// is complete up to the hub's revision. It is safe for concurrent use.
type requests struct {
	loading sync.Mutex // held while records are read again

	mu      sync.Mutex
	byKey   map[requestKey]requested
	order   []requestKey // ring, the oldest at next once it is full
	next    int
	limit   int             // of order
	voids   map[string]bool // marks of voidsAt
	voidsAt int64           // revision
	// gaps is how often records have gone by unseen, the time before the start
	// included; loaded is how many of those were made good.
	gaps, loaded int
}

func newRequests() *requests {
	return &requests{byKey: make(map[requestKey]requested), limit: maxRequests, voids: make(map[string]bool), gaps: 1}
}

// find is the release that was made for a request.
func (r *requests) find(key requestKey) (requested, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	found, known := r.byKey[key]
	return found, known
}

func (r *requests) size() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.byKey)
}

// add notes a release; of a full ring the oldest is forgotten.
func (r *requests) add(made requested) {
	if _, known := r.byKey[made.request]; known {
		return
	}
	r.byKey[made.request] = made
	if len(r.order) < r.limit {
		r.order = append(r.order, made.request)
		return
	}
	delete(r.byKey, r.order[r.next])
	r.order[r.next] = made.request
	r.next = (r.next + 1) % r.limit
}

// take notes the releases of a record, or by a mark that one of a record which
// follows in the same revision was not made.
func (r *requests) take(event *mvccpb.Event) error {
	tenant, void, found := parseRecordPath(string(event.GetKv().GetKey()))
	if !found || event.GetType() != mvccpb.Event_PUT {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if at := event.GetKv().GetModRevision(); at != r.voidsAt {
		clear(r.voids)
		r.voidsAt = at
	}
	if void != "" {
		r.voids[void] = true
		return nil
	}
	all, err := requestsOf(event.GetKv(), tenant)
	for _, made := range all {
		if !r.voids[made.release.String()] {
			r.add(made)
		}
	}
	return err
}

func (r *requests) hasGap() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.gaps != r.loaded
}

// missed tells that records may have gone by unseen.
func (r *requests) missed() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.gaps++
}

// requestsOf is what the releases of a stored record were made for, those
// that were not made among them. It decodes no more than it needs: every
// member does this for every release.
func requestsOf(kv *mvccpb.KeyValue, tenant string) (all []requested, err error) {
	for record := kv.GetValue(); len(record) > 0; {
		release, size := protowire.ConsumeBytes(record)
		if size < 0 {
			return all, fmt.Errorf("releases at %s: %w", kv.GetKey(), protowire.ParseError(size))
		}
		record = record[size:]
		id, request, err := idsOf(release)
		if err != nil {
			return all, fmt.Errorf("releases at %s: %w", kv.GetKey(), err)
		}
		if len(request) == 0 {
			continue
		}
		made := requested{request: requestKey{tenant: tenant}, revision: kv.GetModRevision()}
		if made.release, err = uuid.ParseBytes(id); err != nil {
			return all, fmt.Errorf("releases at %s: id: %w", kv.GetKey(), err)
		}
		if made.request.id, err = uuid.ParseBytes(request); err != nil {
			return all, fmt.Errorf("releases at %s: request id: %w", kv.GetKey(), err)
		}
		all = append(all, made)
	}
	return all, nil
}

// idsOf is the id of a release in wire format, and that of its request.
func idsOf(release []byte) (id, request []byte, err error) {
	for len(release) > 0 {
		field, kind, size := protowire.ConsumeTag(release)
		if size < 0 {
			return nil, nil, protowire.ParseError(size)
		}
		value := protowire.ConsumeFieldValue(field, kind, release[size:])
		if value < 0 {
			return nil, nil, protowire.ParseError(value)
		}
		if kind == protowire.BytesType && (field == releaseID || field == releaseRequestID) {
			text, _ := protowire.ConsumeBytes(release[size:])
			if field == releaseID {
				id = text
			} else {
				request = text
			}
		}
		release = release[size+value:]
	}
	return id, request, nil
}

// loadRequests learns of the newest releases from their records.
func (s *Store) loadRequests(ctx context.Context) error {
	r := s.requests
	r.loading.Lock()
	defer r.loading.Unlock()
	r.mu.Lock()
	gaps, done := r.gaps, r.gaps == r.loaded
	r.mu.Unlock()
	if done {
		return nil // by another one meanwhile
	}
	all, err := s.newestRequests(ctx)
	if err != nil {
		return fmt.Errorf("look for requests: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, made := range all {
		r.add(made)
	}
	r.loaded = gaps
	return nil
}

// newestRequests is the requests of the newest releases of all tenants, oldest
// first.
func (s *Store) newestRequests(ctx context.Context) (all []requested, err error) {
	for from := []byte(releasesRoot); ; {
		response, err := s.engine.Range(ctx, &pb.RangeRequest{
			Key: from, RangeEnd: engine.PrefixEnd(releasesRoot), Limit: 1, KeysOnly: true,
		})
		if err != nil {
			return nil, err
		}
		if len(response.GetKvs()) == 0 {
			return all, nil
		}
		tenant, _, _ := parseRecordPath(string(response.GetKvs()[0].GetKey()))
		ofTenant, err := s.tenantRequests(ctx, tenant)
		if err != nil {
			return nil, err
		}
		all = append(all, ofTenant...)
		slices.SortStableFunc(all, func(a, b requested) int { return cmp.Compare(a.revision, b.revision) })
		all = slices.Clone(all[max(0, len(all)-maxRequests):])
		from = engine.PrefixEnd(recordPath(tenant, ""))
	}
}

// tenantRequests is newestRequests of one tenant, in no order.
func (s *Store) tenantRequests(ctx context.Context, tenant string) (all []requested, err error) {
	prefix := recordPath(tenant, "")
	void := make(map[string]bool)
	var oldest int64 // Unix seconds
	for end := engine.PrefixEnd(prefix); len(all) < maxRequests; {
		response, err := s.engine.Range(ctx, &pb.RangeRequest{
			Key: []byte(prefix), RangeEnd: end, Limit: requestPage,
			SortTarget: pb.RangeRequest_KEY, SortOrder: pb.RangeRequest_DESCEND,
		})
		if err != nil {
			return nil, err
		}
		for _, kv := range response.GetKvs() {
			end = kv.GetKey()
			made, at, err := madeOf(kv, tenant, void)
			switch {
			case err != nil:
				return nil, err
			case oldest == 0:
				oldest = at - int64(requestAge/time.Second)
			case at < oldest:
				return all, nil
			}
			all = append(all, made...)
		}
		if !response.GetMore() {
			break
		}
	}
	return all, nil
}

// madeOf is requestsOf without what was not made, and the time of the record
// in Unix seconds. Of a mark there are none: it is noted in void.
func madeOf(kv *mvccpb.KeyValue, tenant string, void map[string]bool) (made []requested, at int64, err error) {
	name, mark, isMark := strings.Cut(strings.TrimPrefix(string(kv.GetKey()), recordPath(tenant, "")), voidMark)
	if id, err := uuid.Parse(name); err == nil {
		at, _ = id.Time().UnixTime()
	}
	if isMark {
		void[mark] = true
		return nil, at, nil
	}
	made, err = requestsOf(kv, tenant)
	return slices.DeleteFunc(made, func(m requested) bool { return void[m.release.String()] }), at, err
}
