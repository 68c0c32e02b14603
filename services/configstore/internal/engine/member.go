package engine

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/etcdserver"
	"go.etcd.io/etcd/server/v3/lease"
	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
)

// Heartbeat and election time, etcd's defaults. A lone member does not wait
// for them: see elect.
const (
	tickMs     = 100
	electionMs = 1000
)

// electEvery is the wait between two calls to stand for election.
const electEvery = 2 * time.Millisecond

// member sets etcd up as a cluster of one that listens nowhere: calls are in
// process, so that any number of engines run on one machine.
func member(config Config) *embed.Config {
	c := embed.NewConfig()
	c.Name = "backlot"
	c.Dir = config.DataDir
	c.ZapLoggerBuilder = embed.NewZapLoggerBuilder(newZap(config.Log))

	c.ListenPeerUrls, c.ListenClientUrls, c.AdvertiseClientUrls = nil, nil, nil
	// Members need an address in the member list. Nobody dials this one.
	c.AdvertisePeerUrls = []url.URL{{Scheme: "http", Host: "127.0.0.1:0"}}
	c.InitialCluster = c.InitialClusterFromName(c.Name)
	c.InitialClusterToken = "backlot"

	c.TickMs, c.ElectionMs = tickMs, electionMs
	c.PreVote = true

	c.UnsafeNoFsync = config.NoSync
	c.QuotaBackendBytes = config.QuotaBytes
	c.AutoCompactionMode = embed.CompactorModeRevision
	c.AutoCompactionRetention = strconv.FormatInt(config.HistoryRevisions, 10)
	c.MaxTxnOps = MaxTxnOps
	c.MaxRequestBytes = MaxRequestBytes
	c.EnableGRPCGateway = false
	c.WarningApplyDuration = 500 * time.Millisecond
	c.WarningUnaryRequestDuration = time.Second
	// Configuration is small: a snapshot every 10,000 entries bounds the log
	// in memory, 1,000 entries let a slow member catch up.
	c.SnapshotCount = 10_000
	c.SnapshotCatchUpEntries = 1_000
	return c
}

// elect makes a lone member leader at once instead of after an election
// timeout of up to two seconds, by the message by which a leader hands over. A
// member cannot stand while it has changes of membership to apply, so it is
// called until there is a leader or ctx ends.
func elect(ctx context.Context, server *etcdserver.EtcdServer) error {
	if len(server.Cluster().Members()) != 1 {
		return nil
	}
	own := uint64(server.MemberID())
	ticker := time.NewTicker(electEvery)
	defer ticker.Stop()
	for server.Lead() == raft.None {
		call := &raftpb.Message{Type: raftpb.MsgTimeoutNow.Enum(), From: &own, To: &own}
		if err := server.Process(ctx, call); err != nil {
			return fmt.Errorf("elect the only member: %w", err)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

var errLeaseNotFound = lease.ErrLeaseNotFound

func leaseID(id int64) lease.LeaseID { return lease.LeaseID(id) }

func isLeaseNotFound(err error) bool {
	return errors.Is(err, lease.ErrLeaseNotFound) || errors.Is(err, rpctypes.ErrGRPCLeaseNotFound)
}
