// Package engine runs one embedded etcd member and reaches it in process,
// without a connection.
//
//	engine.go      Config, Engine: start, calls, close
//	member.go      how the member is set up
//	cluster.go     Cluster: the other members, and etcd's own port
//	profile.go     how patient members are with each other
//	membership.go  members that come and go
//	status.go      how the cluster is
//	upkeep.go      promotion, free space, alarms
//	snapshot.go    backup and restoring
//	log.go         zap to slog
//
// It knows nothing of objects. All methods are safe for concurrent use.
package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/pkg/v3/traceutil"
	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3rpc"
	"go.etcd.io/etcd/server/v3/storage/mvcc"
)

// ErrClosed is the end of a watch when the engine stops.
var ErrClosed = errors.New("engine is closed")

// Config says where the member keeps its data and how large it may grow.
type Config struct {
	// DataDir is made where it is missing, for this user only.
	DataDir string
	// QuotaBytes bounds the database file; default 2 GiB.
	QuotaBytes int64
	// HistoryRevisions are kept for resuming watches; default 10,000. Older
	// ones are compacted within minutes.
	HistoryRevisions int64
	// Cluster has the other members; the zero value is a lone member.
	Cluster Cluster
	// DefragEvery is the shortest time between two defragmentations, which are
	// made where half of the file is free; default 1 h.
	DefragEvery time.Duration
	// SnapshotEntries is how many entries of the log are kept in memory until a
	// snapshot takes their place; a tenth of them stay, for members that are a
	// little behind. Default 10,000: configuration is small.
	SnapshotEntries uint64
	// NoSync leaves writing to the disk to the operating system: quick, and
	// lost when the machine fails. For tests.
	NoSync bool
	// Log is discarded where nil.
	Log *slog.Logger
}

// Limits of one transaction.
const (
	MaxTxnOps       = 4096
	MaxRequestBytes = 10 << 20
)

func (c Config) withDefaults() Config {
	if c.QuotaBytes <= 0 {
		c.QuotaBytes = 2 << 30
	}
	if c.HistoryRevisions <= 0 {
		c.HistoryRevisions = 10_000
	}
	if c.DefragEvery <= 0 {
		c.DefragEvery = time.Hour
	}
	if c.SnapshotEntries == 0 {
		c.SnapshotEntries = 10_000
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	c.Cluster.fill()
	return c
}

// Engine is a running member.
type Engine struct {
	etcd     *embed.Etcd
	kv       pb.KVServer
	lease    pb.LeaseServer
	config   Config
	changes  struct{ leader, stepDowns atomic.Uint64 }
	relieved int64 // revision at which room was made last; upkeep's own

	stop context.CancelFunc
	kept sync.WaitGroup // upkeep
}

// Start runs a member and returns when it can write: with others, when there
// is a leader.
func Start(ctx context.Context, config Config) (*Engine, error) {
	config = config.withDefaults()
	if err := os.MkdirAll(config.DataDir, 0o700); err != nil {
		return nil, err
	}
	set, err := member(config)
	if err != nil {
		return nil, err
	}
	if !config.Cluster.Join { // one that joins hears of the others from them
		if err := discardUnbegun(config.DataDir, config.Log); err != nil {
			return nil, err
		}
	}
	etcd, err := embed.StartEtcd(set)
	if err != nil {
		return nil, fmt.Errorf("start etcd in %s: %w", config.DataDir, err)
	}
	select {
	case <-etcd.Server.ReadyNotify():
	case <-etcd.Server.StopNotify():
		etcd.Close()
		return nil, fmt.Errorf("start etcd in %s: it stopped", config.DataDir)
	case <-ctx.Done():
		etcd.Close()
		return nil, context.Cause(ctx)
	}
	e := &Engine{
		etcd: etcd, config: config,
		kv: v3rpc.NewQuotaKVServer(etcd.Server), lease: v3rpc.NewQuotaLeaseServer(etcd.Server),
	}
	if !config.Cluster.alone() {
		if err := e.moved(ctx, config.Cluster.PeerURL); err != nil {
			etcd.Close()
			return nil, fmt.Errorf("tell members of the address %s: %w", config.Cluster.PeerURL, err)
		}
	}
	kept, stop := context.WithCancel(context.WithoutCancel(ctx))
	e.stop = stop
	e.kept.Go(func() { e.upkeep(kept) })
	e.kept.Go(func() { e.watchLeader(kept) })
	return e, nil
}

// Close stops the member after what it is doing. A leader hands over first.
func (e *Engine) Close() {
	e.stop()
	e.kept.Wait()
	e.etcd.Close()
}

// Stopped is closed when the member stops, whether asked or not.
func (e *Engine) Stopped() <-chan struct{} { return e.etcd.Server.StopNotify() }

// Range reads keys; linearizable unless the request says otherwise.
func (e *Engine) Range(ctx context.Context, request *pb.RangeRequest) (*pb.RangeResponse, error) {
	return e.kv.Range(ctx, request)
}

// Local reads keys, all at one revision, as this member has them: the others
// may have got further. What does not exist is nil. It costs a tenth of Range.
func (e *Engine) Local(ctx context.Context, keys [][]byte) (found []*mvccpb.KeyValue, revision int64, err error) {
	read := e.etcd.Server.KV().Read(mvcc.ConcurrentReadTxMode, traceutil.TODO())
	defer read.End()
	found = make([]*mvccpb.KeyValue, len(keys))
	for n, key := range keys {
		result, err := read.Range(ctx, key, nil, mvcc.RangeOptions{})
		if err != nil {
			return nil, 0, err
		}
		if len(result.KVs) > 0 {
			found[n] = result.KVs[0]
		}
	}
	return found, read.Rev(), nil
}

// Newest is Local of at least what was written before it, for one agreement of
// the members in all. There is at least one key.
func (e *Engine) Newest(ctx context.Context, keys [][]byte) (found []*mvccpb.KeyValue, revision int64, err error) {
	if _, err := e.Range(ctx, &pb.RangeRequest{Key: keys[0], CountOnly: true}); err != nil {
		return nil, 0, err
	}
	return e.Local(ctx, keys)
}

// Txn runs one transaction.
func (e *Engine) Txn(ctx context.Context, request *pb.TxnRequest) (*pb.TxnResponse, error) {
	return e.kv.Txn(ctx, request)
}

// Grant makes a lease of so many seconds.
func (e *Engine) Grant(ctx context.Context, seconds int64) (lease int64, err error) {
	granted, err := e.lease.LeaseGrant(ctx, &pb.LeaseGrantRequest{TTL: seconds})
	if err != nil {
		return 0, err
	}
	return granted.GetID(), nil
}

// Renew makes a lease last its time again, without a write to the log. It is
// false where the lease has ended.
func (e *Engine) Renew(ctx context.Context, lease int64) (alive bool, err error) {
	switch ttl, err := e.etcd.Server.LeaseRenew(ctx, leaseID(lease)); {
	case errors.Is(err, errLeaseNotFound):
		return false, nil
	case err != nil:
		return false, err
	default:
		return ttl > 0, nil
	}
}

// Revoke ends a lease and deletes its keys. One that has ended is no error.
func (e *Engine) Revoke(ctx context.Context, lease int64) error {
	_, err := e.lease.LeaseRevoke(ctx, &pb.LeaseRevokeRequest{ID: lease})
	if isLeaseNotFound(err) {
		return nil
	}
	return err
}

// Revision is the newest revision that this member has applied.
func (e *Engine) Revision() int64 { return e.etcd.Server.Watchable().Rev() }

// Watch reports the events of keys that begin with prefix, all where it is
// empty, from revision from on, whole revisions in order. Close the stream to end it. The events are
// shared: do not change them.
func (e *Engine) Watch(ctx context.Context, prefix string, from int64) (mvcc.WatchStream, error) {
	key, end := []byte{0}, []byte{} // all
	if prefix != "" {
		key, end = []byte(prefix), PrefixEnd(prefix)
	}
	stream := e.etcd.Server.Watchable().NewWatchStream()
	if _, err := stream.Watch(ctx, 0, key, end, from); err != nil {
		stream.Close()
		return nil, err
	}
	return stream, nil
}

// PrefixEnd is the key after all that begin with prefix, which is not empty
// and does not end in 0xff.
func PrefixEnd(prefix string) []byte {
	end := []byte(prefix)
	end[len(end)-1]++
	return end
}
