package engine

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"go.etcd.io/etcd/etcdutl/v3/snapshot"
)

// Snapshot writes the whole database, and a digest behind it, in the form of
// `etcdctl snapshot save`. Writes go on meanwhile.
func (e *Engine) Snapshot(ctx context.Context, to io.Writer) (bytes int64, err error) {
	e.etcd.Server.KV().Commit()
	taken := e.etcd.Server.Backend().Snapshot()
	defer func() { err = errors.Join(err, taken.Close()) }()
	digest := sha256.New()
	bytes, err = taken.WriteTo(io.MultiWriter(ended{ctx, to}, digest))
	if err != nil {
		return bytes, err
	}
	n, err := to.Write(digest.Sum(nil))
	return bytes + int64(n), err
}

// ended is a writer that fails once its context has ended.
type ended struct {
	ctx context.Context //nolint:containedctx // of one call
	to  io.Writer
}

// Write implements io.Writer.
func (w ended) Write(p []byte) (int, error) {
	if err := w.ctx.Err(); err != nil {
		return 0, err
	}
	return w.to.Write(p)
}

// Restore makes a data folder of a snapshot, for a new cluster that begins with
// what the old one had. dir must not exist. Revisions go on above the old
// cluster's by a million, and its history counts as compacted, so that nobody
// who had seen it takes older for newer.
func Restore(file, dir string, cluster Cluster, log *slog.Logger) error {
	cluster.fill()
	if _, err := os.Stat(dir); err == nil {
		return fmt.Errorf("restore into %s: it exists; move it away first", dir)
	}
	peer, members := "http://127.0.0.1:0", cluster.Name+"=http://127.0.0.1:0"
	if !cluster.alone() {
		all, err := cluster.members()
		if err != nil {
			return err
		}
		peer = cluster.PeerURL
		list := make([]string, 0, len(all))
		for name, address := range all {
			list = append(list, name+"="+address)
		}
		members = strings.Join(list, ",")
	}
	err := snapshot.NewV3(newZap(log)).Restore(snapshot.RestoreConfig{
		SnapshotPath: file, Name: cluster.Name, OutputDataDir: dir, PeerURLs: []string{peer},
		InitialCluster: members, InitialClusterToken: cluster.Token,
		RevisionBump: restoredBump, MarkCompacted: true,
	})
	if err != nil {
		return fmt.Errorf("restore %s: %w", file, errors.Join(err, os.RemoveAll(dir)))
	}
	return nil
}

// restoredBump is far above what a lost tail of the old cluster may have had.
const restoredBump = 1_000_000
