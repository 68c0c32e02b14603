package store

import (
	"context"
	"fmt"
	"slices"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"

	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	"github.com/backlot-video/backlot/services/configstore/internal/engine"
)

// Releases lists at most limit releases of a tenant, newest first, that are
// older than the release before; all where it is empty. more tells that there
// are older ones. Several may have one revision: then they touch different
// objects.
func (s *Store) Releases(
	ctx context.Context, tenant, before string, limit int,
) (releases []*configstorev1.Release, more bool, err error) {
	prefix := recordPath(tenant, "")
	end := engine.PrefixEnd(prefix)
	if name, found := recordOf(before); found {
		end = recordEnd(tenant, name)
	} else if before != "" {
		end = []byte(prefix + before)
	}
	void := make(map[string]bool) // marks come before their record
	for {
		// Ids are UUIDv7, so their order is that of time.
		response, err := s.engine.Range(ctx, &pb.RangeRequest{
			Key: []byte(prefix), RangeEnd: end, Limit: int64(limit) + 1,
			SortTarget: pb.RangeRequest_KEY, SortOrder: pb.RangeRequest_DESCEND,
		})
		if err != nil {
			return nil, false, fmt.Errorf("list releases: %w", err)
		}
		for _, kv := range response.GetKvs() {
			made, err := releasesOf(kv, void)
			if err != nil {
				return nil, false, err
			}
			for _, release := range slices.Backward(made) {
				switch {
				case before != "" && release.GetId() >= before:
				case len(releases) == limit:
					return releases, true, nil
				default:
					releases = append(releases, release)
				}
			}
			end = kv.GetKey()
		}
		if !response.GetMore() {
			return releases, false, nil
		}
	}
}

// releasesOf is the releases that a stored record says were made. Of a mark
// there are none: it is noted in void.
func releasesOf(kv *mvccpb.KeyValue, void map[string]bool) ([]*configstorev1.Release, error) {
	if _, id, _ := parseRecordPath(string(kv.GetKey())); id != "" {
		void[id] = true
		return nil, nil
	}
	releases, err := parseRecord(kv.GetValue())
	if err != nil {
		return nil, fmt.Errorf("releases at %s: %w", kv.GetKey(), err)
	}
	for _, release := range releases {
		release.Revision = kv.GetModRevision()
	}
	return slices.DeleteFunc(releases, func(r *configstorev1.Release) bool { return void[r.GetId()] }), nil
}

// Release reads one release.
func (s *Store) Release(ctx context.Context, tenant, id string) (*configstorev1.Release, error) {
	name, found := recordOf(id)
	if !found {
		return nil, fmt.Errorf("release %s: %w", id, ErrNotFound)
	}
	response, err := s.engine.Range(ctx, &pb.RangeRequest{
		Key: []byte(recordPath(tenant, name)), RangeEnd: recordEnd(tenant, name),
		SortTarget: pb.RangeRequest_KEY, SortOrder: pb.RangeRequest_DESCEND,
	})
	if err != nil {
		return nil, fmt.Errorf("get release %s: %w", id, err)
	}
	void := make(map[string]bool)
	for _, kv := range response.GetKvs() {
		made, err := releasesOf(kv, void)
		if err != nil {
			return nil, err
		}
		for _, release := range made {
			if release.GetId() == id {
				return release, nil
			}
		}
	}
	return nil, fmt.Errorf("release %s: %w", id, ErrNotFound)
}
