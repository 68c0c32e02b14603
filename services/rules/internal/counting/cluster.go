package counting

import (
	"context"
	"hash/fnv"
	"math"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/backlot-video/backlot/kit/mq"
	rulesv1 "github.com/backlot-video/backlot/proto/gen/backlot/rules/v1"
	"github.com/backlot-video/backlot/services/rules/velocity"
)

// Peers are the replicas of this service.
type Peers interface {
	// Members are the names of all replicas that are known, and which of them
	// this one is; self is empty while that is not known.
	Members() (self string, all []string)
	// Client calls one of them.
	Client(name string) rulesv1.VelocityServiceServer
}

// copies is how many replicas hold a partition: its owner and a standby.
const copies = 2

const membersInterval = time.Second

// layout tells who owns which partition. It is not changed.
type layout struct {
	self    string
	members []string
	owners  [velocity.Partitions]string
	held    [velocity.Partitions]bool // by this replica, as owner or standby
}

// cluster follows the members and moves partitions.
type cluster struct {
	counts  *Counts
	current atomic.Pointer[layout] // nil: alone

	others chan struct{} // closed once there are, or were, other replicas
	meet   func()

	mu      sync.Mutex
	filling [velocity.Partitions]bool // history is still being read
	since   int64                     // Unix seconds from which on the journal is complete
}

func newCluster(c *Counts) *cluster {
	others := make(chan struct{})
	return &cluster{counts: c, others: others, meet: sync.OnceFunc(func() { close(others) })}
}

// holds tells whether this replica counts a partition.
func (c *cluster) holds(partition int) bool {
	now := c.current.Load()
	return now == nil || now.held[partition]
}

// fill makes all windows warming until filled.
func (c *cluster) fill() {
	for p := range velocity.Partitions {
		c.counts.CountedSince(p, math.MaxInt64/2)
	}
}

// filled ends fill.
func (c *cluster) filled() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for p := range velocity.Partitions {
		if !c.filling[p] {
			c.counts.CountedSince(p, c.since)
		}
	}
}

// counted says from when on the journal has everything; 0: always.
func (c *cluster) counted(since int64) {
	c.mu.Lock()
	c.since = since
	c.mu.Unlock()
	if since > 0 {
		c.filled()
	}
}

// layoutOf spreads the partitions over the members by rendezvous hashing: when
// a member comes or goes, only its own partitions move.
func layoutOf(self string, members []string) *layout {
	l := &layout{self: self, members: members}
	for p := range velocity.Partitions {
		ranked := slices.Clone(members)
		slices.SortFunc(ranked, func(a, b string) int {
			x, y := weight(a, p), weight(b, p)
			switch {
			case x > y:
				return -1
			case x < y:
				return 1
			}
			return 0
		})
		l.owners[p] = ranked[0]
		l.held[p] = slices.Contains(ranked[:min(copies, len(ranked))], self)
	}
	return l
}

func weight(member string, partition int) uint64 {
	sum := fnv.New64a()
	sum.Write([]byte(member + "/" + strconv.Itoa(partition)))
	x := sum.Sum64()
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// run follows the members until ctx ends.
func (c *cluster) run(ctx context.Context) {
	if c.counts.config.Peers == nil {
		return
	}
	for {
		c.update(ctx)
		if !sleep(ctx, membersInterval) {
			return
		}
	}
}

// update takes up a change of the members. It returns when the history of the
// partitions that came with it has been read.
func (c *cluster) update(ctx context.Context) {
	self, members := c.counts.config.Peers.Members()
	members = slices.Compact(slices.Sorted(slices.Values(members)))
	if self == "" || !slices.Contains(members, self) {
		return // not registered yet, or the register is away: as before
	}
	former := c.current.Load()
	if former == nil && len(members) == 1 || former != nil && slices.Equal(former.members, members) {
		return
	}
	if len(members) > 1 {
		c.meet()
	}
	next := layoutOf(self, members)
	gained := c.move(former, next)
	c.counts.config.Log.Info("velocity replicas changed", "replicas", len(members), "partitions_gained", len(gained))
	c.counts.metrics.members.Set(float64(len(members)))
	if len(gained) > 0 {
		c.counts.fillGained(ctx, gained)
	}
}

// gain is a partition that this replica did not hold before, and what of the
// journal it counts anyway: others' entries behind through, own records from
// position on.
type gain struct{ through, position uint64 }

// move lets go of partitions and takes others.
func (c *cluster) move(former, next *layout) map[int]gain {
	c.counts.applying.Lock()
	defer c.counts.applying.Unlock()
	gained := map[int]gain{}
	for p := range velocity.Partitions {
		before := former == nil || former.held[p]
		switch {
		case next.held[p] && !before:
			c.counts.Forget(p) // what it counted when it was not its own
			c.counts.CountedSince(p, math.MaxInt64/2)
			c.setFilling(p, true)
			gained[p] = gain{c.counts.through, c.counts.recorder.position()}
		case !next.held[p] && before:
			c.counts.Forget(p)
			c.setFilling(p, false)
		}
	}
	c.current.Store(next)
	return gained
}

func (c *cluster) setFilling(partition int, filling bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.filling[partition] = filling
}

// fillGained counts the history of partitions. Their windows are warming until
// then, and stay so if the journal does not reach back far enough.
func (c *Counts) fillGained(ctx context.Context, gained map[int]gain) {
	for ctx.Err() == nil {
		err := c.readHistory(ctx, gained)
		if err == nil {
			return
		}
		if ctx.Err() == nil {
			c.config.Log.Warn("velocity history is read again", "err", err)
		}
		for p := range gained { // whole or not at all
			c.applying.Lock()
			c.Forget(p)
			c.CountedSince(p, math.MaxInt64/2)
			gained[p] = gain{c.through, c.recorder.position()}
			c.applying.Unlock()
		}
		sleep(ctx, reopenWait)
	}
}

func (c *Counts) readHistory(ctx context.Context, gained map[int]gain) error {
	opened := c.journal.Load()
	if opened == nil {
		return errNoJournal
	}
	if err := c.recorder.flush(ctx); err != nil {
		return err
	}
	r := &replayer{store: c.Store, wanted: func(sequence uint64, epoch string, position uint64, partition int) bool {
		gain, ours := gained[partition]
		if epoch == c.epoch {
			return ours && position < gain.position
		}
		return ours && sequence <= gain.through
	}}
	count := c.tolerant(r)
	var since int64
	err := (*opened).Read(ctx, 1, func(entry mq.Entry) error {
		if since == 0 && entry.Sequence > 1 {
			since = entry.Time.Unix() // older ones are no longer there
		}
		since = max(since, 1)
		return count(entry)
	})
	if err != nil {
		return err
	}
	for p := range gained {
		c.CountedSince(p, since)
		c.cluster.setFilling(p, false)
	}
	c.metrics.replayed.Add(float64(r.counted))
	c.config.Log.Info("velocity partitions taken over", "partitions", len(gained), "records", r.counted)
	return nil
}
