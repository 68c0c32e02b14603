package store

import (
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	coordinatorv1 "github.com/backlot-video/backlot/proto/gen/backlot/coordinator/v1"
	"github.com/backlot-video/backlot/services/coordinator/internal/runner"
	"github.com/backlot-video/backlot/services/coordinator/internal/tcc"
	coordinatordb "github.com/backlot-video/backlot/sql/gen/coordinator"
)

// encode makes a row without an owner. The branches are kept as a
// SubmitRequest with nothing else in it.
func encode(t runner.Transaction) (coordinatordb.Transaction, error) {
	message := &coordinatorv1.SubmitRequest{}
	for _, branch := range t.Spec.Branches {
		spec := &coordinatorv1.BranchSpec{BranchId: branch.ID, Service: branch.Service, Action: branch.Action}
		if branch.PayloadType != "" {
			spec.Payload = &anypb.Any{TypeUrl: branch.PayloadType, Value: branch.Payload}
		}
		message.Branches = append(message.Branches, spec)
	}
	branches, err := proto.Marshal(message)
	if err != nil {
		return coordinatordb.Transaction{}, fmt.Errorf("encode branches of %s: %w", t.XID, err)
	}
	digest := t.Spec.Digest()
	return coordinatordb.Transaction{
		TenantID: t.TenantID, Xid: t.XID, Mode: int32(t.Spec.Mode), State: int32(t.State),
		Digest: digest[:], Branches: branches, Problem: t.Problem,
		CreatedAt: t.CreatedAt.UnixMicro(), UpdatedAt: t.UpdatedAt.UnixMicro(), ExpiresAt: t.ExpiresAt.UnixMicro(),
	}, nil
}

// decode is encode's inverse.
func decode(row coordinatordb.Transaction) (runner.Transaction, error) {
	var message coordinatorv1.SubmitRequest
	if err := proto.Unmarshal(row.Branches, &message); err != nil {
		return runner.Transaction{}, fmt.Errorf("decode branches of %s: %w", row.Xid, err)
	}
	t := runner.Transaction{
		Key:   runner.Key{TenantID: row.TenantID, XID: row.Xid},
		Spec:  tcc.Spec{Mode: tcc.Mode(row.Mode)},
		State: tcc.State(row.State), Problem: row.Problem,
		CreatedAt: timeOf(row.CreatedAt), UpdatedAt: timeOf(row.UpdatedAt), ExpiresAt: timeOf(row.ExpiresAt),
	}
	for _, spec := range message.GetBranches() {
		t.Spec.Branches = append(t.Spec.Branches, tcc.Branch{
			ID: spec.GetBranchId(), Service: spec.GetService(), Action: spec.GetAction(),
			PayloadType: spec.GetPayload().GetTypeUrl(), Payload: spec.GetPayload().GetValue(),
		})
	}
	if digest := t.Spec.Digest(); string(digest[:]) != string(row.Digest) {
		return runner.Transaction{}, fmt.Errorf("branches of %s do not match their digest", row.Xid)
	}
	return t, nil
}

func timeOf(micros int64) time.Time { return time.UnixMicro(micros).UTC() }
