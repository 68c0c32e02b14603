package engine

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/storage/wal"
	"go.etcd.io/etcd/server/v3/storage/wal/walpb"
	"go.etcd.io/raft/v3/raftpb"
	"go.uber.org/zap"
)

// logOf makes the log of a member that was killed in its first start.
func logOf(t *testing.T, dir string, metadata []byte, entries ...*raftpb.Entry) {
	t.Helper()
	w, err := wal.Create(zap.NewNop(), filepath.Join(dir, "member", "wal"), metadata)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Save(&raftpb.HardState{}, entries); err != nil { // an empty state is not recorded
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

// metadataOf is that of a whole member's log.
func metadataOf(t *testing.T, dir string) []byte {
	t.Helper()
	w, err := wal.OpenForRead(zap.NewNop(), filepath.Join(dir, "member", "wal"), &walpb.Snapshot{Index: new(uint64), Term: new(uint64)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = w.Close() }()
	metadata, _, _, err := w.ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return metadata
}

// used starts a member, writes and stops it.
func used(t *testing.T, dir string) {
	t.Helper()
	e, err := Start(t.Context(), Config{DataDir: dir}) // waits forever where the log is kept
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	_, err = e.Txn(t.Context(), &pb.TxnRequest{Success: []*pb.RequestOp{{
		Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: []byte("/a")}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
}

func TestFirstStartThatWasCutShortBeginsAnew(t *testing.T) {
	whole := filepath.Join(t.TempDir(), "etcd")
	used(t, whole)
	metadata := metadataOf(t, whole)
	index, term := uint64(1), uint64(1)
	for name, entries := range map[string][]*raftpb.Entry{
		"log": nil, "log with some of the members": {{Index: &index, Term: &term}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "etcd")
			logOf(t, dir, metadata, entries...)
			used(t, dir)
		})
	}
}

func TestMemberThatHasBegunIsLeftAlone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "etcd")
	used(t, dir)
	db, log := filepath.Join(dir, "member", "snap", "db"), filepath.Join(dir, "member", "wal")
	metadata := metadataOf(t, dir)
	for _, damage := range []struct {
		name string
		do   func()
	}{
		{"none", func() {}},
		{"the log is empty", func() { _ = os.RemoveAll(log); logOf(t, dir, metadata) }},
		{"the log is gone", func() { _ = os.RemoveAll(log) }},
	} {
		damage.do()
		if err := discardUnbegun(dir, slog.New(slog.DiscardHandler)); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(db); err != nil {
			t.Errorf("damage: %s: data was removed: %v", damage.name, err)
		}
	}
}
