package store

import (
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	coordinatorv1 "github.com/backlot-video/backlot/proto/gen/backlot/coordinator/v1"
	"github.com/backlot-video/backlot/services/coordinator/internal/message"
	"github.com/backlot-video/backlot/services/coordinator/internal/runner"
	"github.com/backlot-video/backlot/services/coordinator/internal/tcc"
	coordinatordb "github.com/backlot-video/backlot/sql/gen/coordinator"
)

// encode makes a row. The content is kept as a SubmitRequest with nothing else
// in it.
func encode(t runner.Transaction) (coordinatordb.Transaction, error) {
	content := &coordinatorv1.SubmitRequest{Policy: message.Policy(t.Spec.Policy), NotifyUrl: t.Spec.NotifyURL}
	for _, branch := range t.Spec.Branches {
		content.Branches = append(content.Branches, message.Branch(branch))
	}
	branches, err := proto.MarshalOptions{Deterministic: true}.MarshalAppend([]byte{}, content) // not nil, which would be NULL
	if err != nil {
		return coordinatordb.Transaction{}, fmt.Errorf("encode branches of %s: %w", t.XID, err)
	}
	digest := t.Spec.Digest()
	return coordinatordb.Transaction{
		TenantID: t.TenantID, Xid: t.XID, Mode: int32(t.Spec.Mode), Digest: digest[:], Branches: branches,
		CreatedAt: t.CreatedAt.UnixMicro(), ExpiresAt: t.ExpiresAt.UnixMicro(),
	}, nil
}

// decode is encode's inverse: the transaction as it began.
func decode(row coordinatordb.Transaction) (runner.Transaction, error) {
	var content coordinatorv1.SubmitRequest
	if err := proto.Unmarshal(row.Branches, &content); err != nil {
		return runner.Transaction{}, fmt.Errorf("decode branches of %s: %w", row.Xid, err)
	}
	t := runner.Transaction{
		Key: runner.Key{TenantID: row.TenantID, XID: row.Xid},
		Spec: tcc.Spec{
			Mode: tcc.Mode(row.Mode), Policy: message.PolicyOf(content.GetPolicy()), NotifyURL: content.GetNotifyUrl(),
		},
		State: tcc.Trying, CreatedAt: timeOf(row.CreatedAt), UpdatedAt: timeOf(row.CreatedAt), ExpiresAt: timeOf(row.ExpiresAt),
	}
	for _, spec := range content.GetBranches() {
		t.Spec.Branches = append(t.Spec.Branches, message.BranchOf(spec))
	}
	if digest := t.Spec.Digest(); string(digest[:]) != string(row.Digest) {
		return runner.Transaction{}, fmt.Errorf("branches of %s do not match their digest", row.Xid)
	}
	return t, nil
}

// encodeRegistered makes the content of a record; empty where it has none.
func encodeRegistered(branch *tcc.Branch) ([]byte, error) {
	if branch == nil {
		return nil, nil
	}
	return proto.MarshalOptions{Deterministic: true}.Marshal(message.Branch(*branch))
}

// decodeRegistered is encodeRegistered's inverse.
func decodeRegistered(content []byte) (*tcc.Branch, error) {
	if len(content) == 0 {
		return nil, nil
	}
	var spec coordinatorv1.BranchSpec
	if err := proto.Unmarshal(content, &spec); err != nil {
		return nil, fmt.Errorf("decode a registered branch: %w", err)
	}
	branch := message.BranchOf(&spec)
	return &branch, nil
}

func timeOf(micros int64) time.Time { return time.UnixMicro(micros).UTC() }
