package engine

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"

	"go.etcd.io/etcd/client/pkg/v3/fileutil"
	"go.etcd.io/etcd/server/v3/storage/backend"
	"go.etcd.io/etcd/server/v3/storage/schema"
	"go.etcd.io/etcd/server/v3/storage/wal"
	"go.etcd.io/etcd/server/v3/storage/wal/walpb"
)

// discardUnbegun removes what is left of a member that was killed in its first
// start, after its log was made and before the members were recorded in it.
// etcd takes such a log for that of a member which knows the others by it, and
// waits forever for one that leads. Such a member has promised nothing: it has
// recorded neither a vote nor a term.
func discardUnbegun(dir string, log *slog.Logger) error {
	member := filepath.Join(dir, "member")
	if begun, err := begun(filepath.Join(member, "wal")); begun || err != nil {
		return err
	}
	if applied(filepath.Join(member, "snap", "db"), log) {
		return nil // the log has lost what it had: that is for etcd to tell
	}
	log.Warn("the first start was cut short and begins anew", "component", "etcd")
	if err := os.RemoveAll(member); err != nil {
		return fmt.Errorf("remove a member that was never whole: %w", err)
	}
	return nil
}

// begun tells whether a log has a state, or is for etcd to judge: one that does
// not exist, has several files or a fault.
func begun(dir string) (bool, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.wal"))
	if err != nil || len(files) != 1 {
		return true, err
	}
	file, err := os.Open(files[0])
	if err != nil {
		return true, err
	}
	defer func() { _ = file.Close() }()
	records := wal.NewDecoder(fileutil.NewFileReader(file))
	for {
		var record walpb.Record
		err := records.Decode(&record)
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF): // the latter: cut short in a write
			return false, nil
		case err != nil, record.GetType() == wal.StateType:
			return true, nil //nolint:nilerr // etcd comes upon the fault, too, and says more
		case record.GetType() == wal.CrcType:
			records.UpdateCRC(record.GetCrc())
		}
	}
}

// applied tells whether a database has anything of the log.
func applied(path string, log *slog.Logger) bool {
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return false
	}
	db := backend.NewDefaultBackend(newZap(log), path)
	defer func() { _ = db.Close() }()
	index, _ := schema.ReadConsistentIndex(db.ReadTx())
	return index > 0
}
