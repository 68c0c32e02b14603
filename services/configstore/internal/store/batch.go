package store

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
)

// Bounds of one transaction of several releases. One alone may be larger.
const (
	maxBatch      = 32
	maxBatchOps   = 1024
	maxBatchBytes = 1 << 20
)

// batcher chooses releases that can share a transaction. All conditions of a
// transaction are compared with the state before it, so that one that another
// one would falsify has to wait.
type batcher struct {
	writes     []*write
	keys       map[string]bool // whether it is written, or compared only
	ops, bytes int
}

// add tells whether the release is in.
func (b *batcher) add(w *write) bool {
	if len(b.writes) > 0 && (w.alone || b.writes[0].alone || b.full(w) || b.collides(w)) {
		return false
	}
	b.writes = append(b.writes, w)
	b.ops += len(w.ops)
	b.bytes += w.bytes
	for _, key := range w.checked {
		b.keys[key] = b.keys[key] || false
	}
	for _, key := range w.keys {
		b.keys[key] = true
	}
	return true
}

func (b *batcher) full(w *write) bool {
	return len(b.writes) >= maxBatch || b.ops+len(w.ops) > maxBatchOps || b.bytes+w.bytes > maxBatchBytes
}

func (b *batcher) collides(w *write) bool {
	for _, key := range w.keys {
		if _, found := b.keys[key]; found {
			return true
		}
	}
	return slices.ContainsFunc(w.checked, func(key string) bool { return b.keys[key] })
}

// batchID gives the releases of a transaction UUIDs of version 7 that differ
// in their last byte only, in order. That of the first names the record.
type batchID uuid.UUID

func newBatchID() (batchID, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return batchID{}, fmt.Errorf("make release id: %w", err)
	}
	id[len(id)-1] = 0
	return batchID(id), nil
}

// of is the id of the nth release, from 0.
func (b batchID) of(n int) string {
	b[len(b)-1] = byte(n)
	return uuid.UUID(b).String()
}

// recordOf is the name of the record that has a release, by the release's id.
func recordOf(id string) (name string, found bool) {
	parsed, err := uuid.Parse(id)
	if err != nil {
		return "", false
	}
	return batchID(parsed).of(0), true
}

// A record says which releases a transaction was to make. One of several that
// was not made, as something had changed, has left a mark behind the record's
// key: so a transaction costs one record however many releases it has.
const voidMark = "!"

func recordPath(tenant, name string) string { return releasesRoot + tenant + "/" + name }

func voidPath(tenant, name, id string) string { return recordPath(tenant, name) + voidMark + id }

// recordEnd is the key after a record and its marks.
func recordEnd(tenant, name string) []byte {
	return []byte(recordPath(tenant, name) + string(rune(voidMark[0]+1)))
}

// transaction writes each release whose conditions hold, and a record for each
// tenant.
func transaction(batch []*write, ids batchID) *pb.TxnRequest {
	txn := new(pb.TxnRequest)
	if len(batch) == 1 {
		txn.Compare = batch[0].compares
	}
	var tenants []string
	records := make(map[string][]byte, 1)
	for n, w := range batch {
		id := ids.of(n)
		if _, known := records[w.tenant]; !known {
			tenants = append(tenants, w.tenant)
		}
		records[w.tenant] = appendRecord(records[w.tenant], w.record, id)
		ops := make([]*pb.RequestOp, len(w.ops), len(w.ops)+1)
		for i, op := range w.ops {
			ops[i] = op.with(id)
		}
		if len(batch) == 1 {
			txn.Success = ops
			continue
		}
		txn.Success = append(txn.Success, &pb.RequestOp{Request: &pb.RequestOp_RequestTxn{RequestTxn: &pb.TxnRequest{
			Compare: w.compares, Success: ops,
			Failure: []*pb.RequestOp{putOp(voidPath(w.tenant, ids.of(0), id), nil, 0)},
		}}})
	}
	for _, tenant := range tenants {
		txn.Success = append(txn.Success, putOp(recordPath(tenant, ids.of(0)), records[tenant], 0))
	}
	return txn
}

// Numbers of the fields that are known last.
const (
	objectReleaseID = 5
	releaseID       = 1

	releaseRequestID = 7
)

// with completes the operation by the release's id: fields of a message in
// wire format may come in any order.
func (op encodedOp) with(id string) *pb.RequestOp {
	if op.whole != nil {
		return op.whole
	}
	return putOp(op.path, appendID(op.value, objectReleaseID, id), 0)
}

func appendID(message []byte, field protowire.Number, id string) []byte {
	return protowire.AppendString(protowire.AppendTag(message, field, protowire.BytesType), id)
}

// appendRecord adds a release to a record, which is releases in wire format,
// each after its length.
func appendRecord(record, release []byte, id string) []byte {
	size := len(release) + protowire.SizeTag(releaseID) + protowire.SizeBytes(len(id))
	record = slices.Grow(record, size+binary.MaxVarintLen64)
	record = protowire.AppendVarint(record, uint64(size))
	return appendID(append(record, release...), releaseID, id)
}

// parseRecord is the releases of a record, in order of their ids, without
// revisions.
func parseRecord(record []byte) (releases []*configstorev1.Release, err error) {
	for len(record) > 0 {
		encoded, size := protowire.ConsumeBytes(record)
		if size < 0 {
			return nil, protowire.ParseError(size)
		}
		release := new(configstorev1.Release)
		if err := proto.Unmarshal(encoded, release); err != nil {
			return nil, err
		}
		releases = append(releases, release)
		record = record[size:]
	}
	return releases, nil
}

// parseRecordPath tells a record from a mark; of a mark there is the id of the
// release that was not made.
func parseRecordPath(path string) (tenant, void string, found bool) {
	rest, found := strings.CutPrefix(path, releasesRoot)
	tenant, rest, split := strings.Cut(rest, "/")
	_, void, _ = strings.Cut(rest, voidMark)
	return tenant, void, found && split
}
