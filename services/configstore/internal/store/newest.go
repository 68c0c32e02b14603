package store

import (
	"context"
	"fmt"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/backlot-video/backlot/services/configstore/internal/object"
)

// Newest is the revision of the last change of a kind: of its objects that are
// there, and of deletions as far as this member has seen them. 0: none is
// known.
func (s *Store) Newest(ctx context.Context, tenant, kind string) (int64, error) {
	request := rangePrefix(object.Prefix(tenant, kind, ""))
	request.SortTarget, request.SortOrder = pb.RangeRequest_MOD, pb.RangeRequest_DESCEND
	request.Limit, request.KeysOnly = 1, true
	response, err := s.engine.Range(ctx, request)
	if err != nil {
		return 0, fmt.Errorf("last change of %s: %w", kind, err)
	}
	revision := s.hub.newest(topic{tenant, kind})
	for _, kv := range response.GetKvs() {
		revision = max(revision, kv.GetModRevision())
	}
	return revision, nil
}

// newest is the last change of a topic that is in its journal.
func (h *Hub) newest(t topic) int64 {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if j := h.journals[t]; j != nil && len(j.entries) > 0 {
		return j.entries[len(j.entries)-1].revision
	}
	return 0
}

// HasKind tells whether a kind is registered.
func (s *Store) HasKind(kind string) bool {
	_, found := s.kinds.Get(kind)
	return found
}
