package engine

import (
	"context"
	"encoding/hex"
	"expvar"
	"slices"
	"strconv"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/pkg/v3/traceutil"
	"go.etcd.io/etcd/server/v3/storage/mvcc"
	"go.etcd.io/raft/v3"
)

// Member is one of the cluster, as the member that was asked knows it.
type Member struct {
	ID      uint64
	Name    string // empty: was added and has not started yet
	PeerURL string
	Learner bool // takes entries, does not vote
	Leader  bool
	Self    bool
	// How far the leader has brought it; only the leader knows.
	Progress *Progress
}

// Progress is raft's of one follower.
type Progress struct {
	// State is "probe" (not known how far it is), "replicate" (entries flow) or
	// "snapshot" (it was too far behind and gets everything).
	State       string
	Match, Next uint64
	// Active tells that it was heard of within the last election time. A leader
	// that hears of fewer than half steps down (CheckQuorum).
	Active bool
	Paused bool
}

// Status is how a member and its cluster are.
type Status struct {
	ID              uint64
	Leader          uint64 // 0: there is none now
	Term            uint64
	CommittedIndex  uint64
	AppliedIndex    uint64
	Revision        int64
	SizeBytes       int64 // of the database file
	UsedBytes       int64 // of it in use; the rest is given back by a defragmentation
	QuotaBytes      int64
	Alarms          []string // "nospace", "corrupt", with the member's id
	Members         []Member // ordered by name
	LeaderChanges   uint64   // seen since the start
	StepDowns       uint64   // times that this member stopped being the leader
	ClusterVersion  string
	HeartbeatMillis int64
	ElectionMillis  int64
}

// Status never blocks on others.
func (e *Engine) Status() Status {
	server := e.etcd.Server
	config := e.etcd.Config()
	status := Status{
		ID: uint64(server.MemberID()), Leader: server.Lead(), Term: server.Term(),
		CommittedIndex: server.CommittedIndex(), AppliedIndex: server.AppliedIndex(), Revision: e.Revision(),
		SizeBytes: server.Backend().Size(), UsedBytes: server.Backend().SizeInUse(), QuotaBytes: config.QuotaBackendBytes,
		LeaderChanges: e.changes.leader.Load(), StepDowns: e.changes.stepDowns.Load(),
		HeartbeatMillis: int64(config.TickMs), ElectionMillis: int64(config.ElectionMs),
	}
	if version := server.ClusterVersion(); version != nil {
		status.ClusterVersion = version.String()
	}
	for _, alarm := range e.alarms() {
		status.Alarms = append(status.Alarms, alarmName(alarm.GetAlarm())+" "+FormatID(alarm.GetMemberID()))
	}
	progress := progresses(status.ID)
	for _, m := range server.Cluster().Members() {
		member := Member{
			ID: uint64(m.ID), Name: m.Name, Learner: m.IsLearner, Leader: uint64(m.ID) == status.Leader, Self: uint64(m.ID) == status.ID,
		}
		if len(m.PeerURLs) > 0 {
			member.PeerURL = m.PeerURLs[0]
		}
		if p, known := progress[member.ID]; known && !member.Self {
			member.Progress = &p
		}
		status.Members = append(status.Members, member)
	}
	slices.SortFunc(status.Members, func(a, b Member) int {
		if a.Name != b.Name && a.Name != "" && b.Name != "" {
			return compare(a.Name, b.Name)
		}
		return compare(FormatID(a.ID), FormatID(b.ID))
	})
	return status
}

// alarms are those of all members. Where this member is sent a snapshot, etcd
// replaces what holds them without a lock: after the keys, for which it waits until
// nobody reads any, and before the members, which have a lock.
func (e *Engine) alarms() []*pb.AlarmMember {
	read := e.etcd.Server.KV().Read(mvcc.ConcurrentReadTxMode, traceutil.TODO())
	defer read.End()
	_ = e.etcd.Server.Cluster().Members()
	return e.etcd.Server.Alarms()
}

// Leads tells whether this member leads, as it knows.
func (e *Engine) Leads() bool { return e.etcd.Server.Lead() == uint64(e.etcd.Server.MemberID()) }

// Members is how many there are, as this one knows it.
func (e *Engine) Members() int { return len(e.etcd.Server.Cluster().Members()) }

func compare(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	default:
		return 0
	}
}

func alarmName(alarm pb.AlarmType) string {
	if alarm == pb.AlarmType_NOSPACE {
		return "nospace"
	}
	return "corrupt"
}

// progresses reads what the leader knows of its followers. etcd tells it by
// expvar alone, and only of the member that was started last in the process:
// of others nothing is told.
func progresses(own uint64) map[uint64]Progress {
	all := map[uint64]Progress{}
	published, _ := expvar.Get("raft.status").(expvar.Func)
	if published == nil {
		return all
	}
	status, _ := published.Value().(raft.Status)
	if status.ID != own {
		return all
	}
	for id, p := range status.Progress {
		all[id] = Progress{
			State: stateName(p.State.String()), Match: p.Match, Next: p.Next, Active: p.RecentActive, Paused: p.IsPaused(),
		}
	}
	return all
}

func stateName(state string) string {
	switch state {
	case "StateProbe":
		return "probe"
	case "StateReplicate":
		return "replicate"
	case "StateSnapshot":
		return "snapshot"
	default:
		return state
	}
}

// FormatID is a member's id as etcd's tools write it.
func FormatID(id uint64) string { return strconv.FormatUint(id, 16) }

// ParseID reads what FormatID wrote.
func ParseID(text string) (uint64, error) { return strconv.ParseUint(text, 16, 64) }

// Hash is a digest of everything up to a revision, to compare members by.
func (e *Engine) Hash(_ context.Context, revision int64) (string, error) {
	hash, _, err := e.etcd.Server.KV().HashStorage().HashByRev(revision)
	if err != nil {
		return "", err
	}
	var raw [4]byte
	for i := range raw {
		raw[i] = byte(hash.Hash >> (24 - 8*i))
	}
	return hex.EncodeToString(raw[:]), nil
}
