package engine

import (
	"errors"
	"net/url"
	"strconv"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/lease"
)

// Heartbeat and election time of a lone member. Nobody is there to disturb,
// so it stands for election within 100 ms of its start rather than within
// etcd's usual two seconds. Asking raft to campaign at once is no way: while
// the log of the last run is still being applied it panics.
const (
	tickMs     = 10
	electionMs = 100
)

// member sets etcd up. A cluster of one listens nowhere: calls are in process,
// so that any number of engines run on one machine.
func member(config Config) (*embed.Config, error) {
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
	c.SnapshotCount = config.SnapshotEntries
	c.SnapshotCatchUpEntries = config.SnapshotEntries / 10
	return c, config.Cluster.apply(c)
}

var errLeaseNotFound = lease.ErrLeaseNotFound

func leaseID(id int64) lease.LeaseID { return lease.LeaseID(id) }

func isLeaseNotFound(err error) bool {
	return errors.Is(err, lease.ErrLeaseNotFound) || errors.Is(err, rpctypes.ErrGRPCLeaseNotFound)
}
