package service

import (
	"context"
	"errors"
	"time"

	"github.com/backlot-video/backlot/kit/config"
	"github.com/backlot-video/backlot/kit/lifecycle"
	"github.com/backlot-video/backlot/kit/mq"
	rulesv1 "github.com/backlot-video/backlot/proto/gen/backlot/rules/v1"
	"github.com/backlot-video/backlot/services/rules/internal/api"
	"github.com/backlot-video/backlot/services/rules/internal/counting"
	"github.com/backlot-video/backlot/services/rules/velocity"
	"github.com/backlot-video/backlot/services/rules/velocity/memory"
)

// journalName is the stream that holds what was counted.
const journalName = "rules_velocity"

// Velocity has the settings of velocity counters.
type Velocity struct {
	// Bytes bounds their memory. Default 64 MiB.
	Bytes int64
	// Steps are those in which a window slides. Default 60.
	Steps int
	// SnapshotInterval is the time between snapshots. Default 1 minute.
	SnapshotInterval time.Duration
	// JournalBytes bounds the journal of counted events. Default 1 GiB.
	JournalBytes int64
	// Confirm makes answers wait until the journal has what was counted for
	// them. Default true.
	Confirm bool
	// Timeout is that of counting at another replica. Default 50 ms.
	Timeout time.Duration
}

func (v *Velocity) registerFlags(set *config.Set) {
	set.Size(&v.Bytes, "velocity-bytes", 64<<20, "most `bytes` of velocity counters; the least recently used go first")
	set.Int(&v.Steps, "velocity-steps", 60, "`number` of steps in which a window slides; fewer take less memory")
	set.Duration(&v.SnapshotInterval, "velocity-snapshot-interval", time.Minute, "`time` between snapshots of velocity counters; what was counted since is replayed after a crash")
	set.Size(&v.JournalBytes, "velocity-journal-bytes", 1<<30, "most `bytes` of the journal of counted events where it is made; the oldest go first")
	set.Bool(&v.Confirm, "velocity-confirm", true, "answer only when the journal has what was counted, so that a crash loses none of it")
	set.Duration(&v.Timeout, "velocity-timeout", 50*time.Millisecond, "longest `time` of counting keys that another replica owns; then they read as missing")
}

func (v *Velocity) validate() (faults []error) {
	check := func(holds bool, fault string) {
		if !holds {
			faults = append(faults, errors.New("rules."+fault))
		}
	}
	check(v.Bytes >= 8<<20, "velocity-bytes: must be at least 8MiB")
	check(v.Steps >= 4 && v.Steps <= 1000, "velocity-steps: must be between 4 and 1000")
	check(v.SnapshotInterval >= time.Second, "velocity-snapshot-interval: must be at least 1s")
	check(v.JournalBytes >= 1<<20, "velocity-journal-bytes: must be at least 1MiB")
	check(v.Timeout > 0, "velocity-timeout: must be above 0")
	return faults
}

// open returns the counters as the last process left them.
func (v *Velocity) open(ctx context.Context, host *lifecycle.Host) (*counting.Counts, error) {
	counts, err := counting.New(counting.Config{
		Velocity: velocity.Config{
			MaxBytes: v.Bytes, Steps: v.Steps, Clock: host.Clock, Warming: true, Allocate: memory.Allocate,
			Secret: host.Keys.Derive("rules/velocity"),
		},
		Dir: host.DataDir, SnapshotInterval: v.SnapshotInterval, Unconfirmed: !v.Confirm,
		Timeout: v.Timeout, Peers: replicas{host}, Log: host.Log, Registerer: host.Registerer,
		Open: func(ctx context.Context) (counting.Journal, error) {
			client, err := host.MQ(ctx)
			if err != nil {
				return nil, err
			}
			return client.Journal(ctx, mq.JournalConfig{Name: journalName, MaxBytes: v.JournalBytes})
		},
	})
	if err != nil {
		return nil, err
	}
	return counts, counts.Start(ctx)
}

// replicas implements counting.Peers.
type replicas struct{ host *lifecycle.Host }

func (r replicas) Members() (self string, all []string) { return r.host.Replicas() }

func (r replicas) Client(name string) rulesv1.VelocityServiceServer {
	return rulesv1.NewVelocityServiceClient(r.host.DialReplica(name))
}

// confirmed answers when no crash can lose what was counted.
type confirmed struct {
	*api.Server
	counts *counting.Counts
}

// Evaluate implements rulesv1.RulesServiceServer.
func (c confirmed) Evaluate(ctx context.Context, req *rulesv1.EvaluateRequest) (*rulesv1.EvaluateResponse, error) {
	res, err := c.Server.Evaluate(ctx, req)
	if err == nil {
		err = c.counts.Confirm(ctx)
	}
	return res, err
}

// EvaluateBatch implements rulesv1.RulesServiceServer.
func (c confirmed) EvaluateBatch(ctx context.Context, req *rulesv1.EvaluateBatchRequest) (*rulesv1.EvaluateBatchResponse, error) {
	res, err := c.Server.EvaluateBatch(ctx, req)
	if err == nil {
		err = c.counts.Confirm(ctx)
	}
	return res, err
}
