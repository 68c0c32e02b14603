package store

import (
	"context"
	"fmt"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/proto"

	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	"github.com/backlot-video/backlot/services/configstore/internal/engine"
)

// Releases lists at most limit releases of a tenant, newest first, that are
// older than the release before; all where it is empty. more tells that there
// are older ones.
func (s *Store) Releases(
	ctx context.Context, tenant, before string, limit int,
) (releases []*configstorev1.Release, more bool, err error) {
	prefix := releasesRoot + tenant + "/"
	end := engine.PrefixEnd(prefix)
	if before != "" {
		end = []byte(prefix + before)
	}
	// Ids are UUIDv7, so their order is that of time.
	response, err := s.engine.Range(ctx, &pb.RangeRequest{
		Key: []byte(prefix), RangeEnd: end, Limit: int64(limit) + 1,
		SortTarget: pb.RangeRequest_KEY, SortOrder: pb.RangeRequest_DESCEND,
	})
	if err != nil {
		return nil, false, fmt.Errorf("list releases: %w", err)
	}
	for _, kv := range response.GetKvs() {
		if len(releases) == limit {
			return releases, true, nil
		}
		release := new(configstorev1.Release)
		if err := proto.Unmarshal(kv.GetValue(), release); err != nil {
			return nil, false, fmt.Errorf("release at %s: %w", kv.GetKey(), err)
		}
		release.Revision = kv.GetModRevision()
		releases = append(releases, release)
	}
	return releases, false, nil
}
