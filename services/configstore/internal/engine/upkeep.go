package engine

import (
	"context"
	"errors"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/storage/mvcc"
)

const (
	// upkeepEvery is how often the member looks after itself.
	upkeepEvery = time.Second
	// watchLeaderEvery is well below any election time.
	watchLeaderEvery = 20 * time.Millisecond
	// defragShare is the part of the file that has to be free for it to be worth
	// rewriting, and defragLeast the file's least size.
	defragShare = 0.5
	defragLeast = 64 << 20
	// fullShare of the quota in use lets the alarm end.
	fullShare = 0.9
)

// upkeep promotes learners, gives free space back, and ends alarms whose cause
// is gone, until the member stops.
func (e *Engine) upkeep(ctx context.Context) {
	ticker := time.NewTicker(upkeepEvery)
	defer ticker.Stop()
	lastDefrag := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-e.etcd.Server.StopNotify():
			return
		case <-ticker.C:
		}
		status := e.Status()
		if status.Leader == status.ID {
			e.promote(ctx, status)
		}
		if len(status.Alarms) > 0 {
			e.relieve(ctx, status)
		}
		free := status.SizeBytes - status.UsedBytes
		due := status.SizeBytes >= defragLeast && float64(free) > defragShare*float64(status.SizeBytes)
		if due && time.Since(lastDefrag) >= e.config.DefragEvery {
			lastDefrag = time.Now()
			e.defrag(status)
		}
	}
}

// watchLeader counts leaders that come, and the times that this member stopped
// leading, until the member stops.
func (e *Engine) watchLeader(ctx context.Context) {
	ticker := time.NewTicker(watchLeaderEvery)
	defer ticker.Stop()
	own, last := uint64(e.etcd.Server.MemberID()), e.etcd.Server.Lead()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		leader := e.etcd.Server.Lead()
		if leader == last {
			continue
		}
		if last == own {
			e.changes.stepDowns.Add(1)
			e.config.Log.Warn("this member leads no longer", "term", e.etcd.Server.Term())
		}
		if leader != 0 {
			e.changes.leader.Add(1)
			e.config.Log.Info("there is another leader", "leader", FormatID(leader), "term", e.etcd.Server.Term(), "self", leader == own)
		}
		last = leader
	}
}

// promote gives a learner its vote once it has caught up.
func (e *Engine) promote(ctx context.Context, status Status) {
	for _, m := range status.Members {
		if !m.Learner || m.Name == "" {
			continue
		}
		switch err := e.PromoteMember(ctx, m.ID); {
		case err == nil:
			e.config.Log.Info("learner has caught up and votes from now on", "member", m.Name)
		case !errors.Is(err, ErrNotReady) && ctx.Err() == nil:
			e.config.Log.Warn("learner cannot be promoted", "member", m.Name, "err", err)
		}
	}
}

// defrag rewrites the database's file. Reads and writes of this member wait
// meanwhile; others go on, and each has its own time.
func (e *Engine) defrag(status Status) {
	begun := time.Now()
	if err := e.Defragment(); err != nil {
		e.config.Log.Error("defragmentation failed", "err", err)
		return
	}
	e.config.Log.Info("free space given back",
		"before_bytes", status.SizeBytes, "after_bytes", e.etcd.Server.Backend().Size(), "duration", time.Since(begun))
}

// Defragment gives free space of the database's file back.
func (e *Engine) Defragment() error { return e.etcd.Server.Defragment() }

// Compact drops the history before a revision.
func (e *Engine) Compact(ctx context.Context, revision int64) error {
	_, err := e.etcd.Server.Compact(ctx, &pb.CompactionRequest{Revision: revision, Physical: true})
	if errors.Is(err, mvcc.ErrCompacted) {
		return nil
	}
	return err
}

// relieve makes room where the quota was reached: it drops all history, gives
// the space back, and lets writes in again where that was enough. Who watches
// from a revision that is gone lists anew.
func (e *Engine) relieve(ctx context.Context, status Status) {
	for _, alarm := range e.alarms() {
		if alarm.GetAlarm() != pb.AlarmType_NOSPACE || alarm.GetMemberID() != status.ID {
			continue
		}
		if e.relieved < status.Revision {
			e.relieved = status.Revision // once, and again after something was deleted
			e.config.Log.Error("the database has reached its quota, writes are refused; all history is dropped to make room",
				"quota_bytes", status.QuotaBytes, "used_bytes", status.UsedBytes)
			if err := e.Compact(ctx, status.Revision); err != nil {
				e.config.Log.Error("history cannot be dropped", "err", err)
			}
			e.defrag(status)
		}
		size := e.etcd.Server.Backend().Size()
		if float64(size) > fullShare*float64(status.QuotaBytes) {
			return // it stays until there is room, or the quota is raised at a start
		}
		_, err := e.etcd.Server.Alarm(ctx, &pb.AlarmRequest{
			Action: pb.AlarmRequest_DEACTIVATE, MemberID: status.ID, Alarm: pb.AlarmType_NOSPACE,
		})
		if err == nil {
			e.config.Log.Info("there is room again, writes are taken")
		}
	}
}
