package admission

import (
	"container/list"
	"context"
	"time"
)

const (
	// minWindow is the fewest units that are let through at a time.
	minWindow = 16
	// flight is the share of the patience that what was let through may take:
	// the batch at work, and the next one.
	flight = 0.55
	// spareMost is the share that it may take beyond that for what is fixed.
	spareMost = 0.3
	// few units are let in whatever they are expected to take, unless their own
	// deadline is sooner than the patience: they hardly wait for one another.
	few = 8
	// crowd is how many times what is left of all places a tenant may have.
	crowd = 8
)

// job is work on its way through a Gate.
type job struct {
	Work
	entered   time.Time
	deadline  time.Time     // when it is to be done, zero: none
	transit   time.Duration // by how much that is before the caller's own, or the patience
	hurried   bool          // its own deadline is sooner than the patience
	estimated float64       // ns that it was expected to take
	kept      bool          // a Hold kept room for it
	started   bool
	begun     time.Time     // when it was started
	place     *list.Element // in a queue; nil where it is in none
	ready     chan struct{} // closed when it may start or is refused
	refusal   *Refusal
}

func newJob(ctx context.Context, now time.Time, cfg Config, work Work) *job {
	work.Cost = max(work.Cost, 1)
	j := &job{Work: work, entered: now, ready: make(chan struct{})}
	if cfg.FixedQueue {
		j.Tenant = ""
		return j
	}
	if work.Decided {
		return j
	}
	j.hasten(ctx, now, cfg)
	return j
}

// hasten sets when a job that comes now is to be done so that its caller has
// the answer in time.
func (j *job) hasten(ctx context.Context, now time.Time, cfg Config) {
	left := cfg.Patience
	if own, bounded := ctx.Deadline(); bounded && own.Sub(now) < left {
		left, j.hurried = own.Sub(now), true
	}
	j.transit = min(cfg.Transit, max(left/4, 0))
	j.deadline = now.Add(left - j.transit)
}

// core decides. Callers step it, and give it times that do not go back.
type core struct {
	cfg      Config
	meter    meter
	batches  batches
	batch    int // units in flight that are being done, and not waiting for the next batch
	queue    *fair
	decided  list.List      // of *job
	urgent   int            // units in decided
	inFlight int            // units
	flying   int            // jobs in flight
	places   map[string]int // jobs by shard, without decided ones
	held     map[string]int // jobs by tenant, without decided ones
	weights  int            // sum of these tenants' weights
	taken    int            // jobs, without decided ones
	refused  pressure
}

func newCore(cfg Config) *core {
	return &core{
		cfg: cfg, meter: newMeter(), batches: newBatches(), queue: newFair(cfg),
		places: make(map[string]int), held: make(map[string]int),
	}
}

// window is how many units may be in flight. What is decided may have all of
// it up to the limit, other work leaves a quarter of that alone.
func (c *core) window(decided bool) int {
	if decided || c.cfg.FixedQueue {
		return c.cfg.Limit
	}
	fitting := flight * float64(c.cfg.Patience) / c.meter.each
	// Where much is fixed, what is not in the next batch is late.
	fixed := 2 * c.batches.fixed()
	spare := flight*float64(c.cfg.Patience) + min(fixed, spareMost*float64(c.cfg.Patience))
	fitting = max(fitting, (spare-fixed)/c.batches.slope())
	return max(min(minWindow, c.cfg.Limit), int(min(fitting, float64(c.cfg.Limit)*3/4)))
}

// offer queues a job, or refuses it.
func (c *core) offer(now time.Time, j *job) *Refusal {
	if j.Decided {
		j.place = c.decided.PushBack(j)
		c.urgent += j.Cost
		return nil
	}
	if refusal := c.refuse(now, j); refusal != nil {
		return refusal
	}
	c.places[j.Shard]++
	if c.held[j.Tenant]++; c.held[j.Tenant] == 1 {
		c.weights += c.cfg.weight(j.Tenant)
	}
	c.taken++
	c.queue.push(j)
	return nil
}

// refuse refuses a job that is not decided, or has it estimated and returns nil.
func (c *core) refuse(now time.Time, j *job) *Refusal {
	switch {
	case c.places[j.Shard] >= c.cfg.Limit, c.taken >= c.cfg.TotalLimit:
		return c.refusal(now, Full, j.Cost)
	case c.cfg.FixedQueue:
	case c.held[j.Tenant] >= crowd*c.cfg.weight(j.Tenant)*(c.cfg.TotalLimit-c.taken):
		return c.refusal(now, Share, j.Cost)
	default:
		j.estimated = c.estimate(now, j.Tenant, j.Cost)
		if j.kept {
			return nil
		}
		left := float64(j.deadline.Sub(now))
		alone := c.queue.units+c.queue.promised+c.inFlight < few && !j.hurried
		if needed := j.estimated * c.strictness(j.Tenant); needed > left && !alone {
			c.meter.pressed = true
			refusal := c.refusal(now, TooLate, j.Cost)
			refusal.Wait = time.Duration(j.estimated)
			refusal.RetryAfter += time.Duration(needed - max(left, 0))
			return refusal
		}
	}
	return nil
}

// strictness is by how much a tenant's estimates are raised: by the margin,
// less where it has less than its share of what is taken, and more where it
// has more.
func (c *core) strictness(tenant string) float64 {
	held, weight, weights := c.held[tenant], c.cfg.weight(tenant), c.weights
	if held == 0 {
		weights += weight
	}
	share := float64(held*weights) / float64(max(c.taken, 1)*weight)
	return max(1, c.meter.margin*min(max(share, 0.5), 1.25))
}

// estimate is how long a newcomer would take, in ns: what is in flight, what
// waits before it or is held for, and what will be decided meanwhile and go before it. Where
// nothing is in flight there is no telling but by trying.
func (c *core) estimate(now time.Time, tenant string, cost int) float64 {
	if c.flying == 0 && c.queue.jobs == 0 && c.queue.promised == 0 {
		return 0
	}
	left := c.meter.remaining(now, c.batches.takes(float64(c.batch)))
	others := max(c.meter.others(), 0.25)
	coming := left * (1 - others) / c.meter.each // decided meanwhile
	flying := max(left+c.batches.takes(float64(c.inFlight-c.batch+cost)+coming), c.meter.flight)
	waiting := float64(c.urgent) + float64(c.queue.ahead(tenant, cost))/others
	further := c.batches.fixed() * float64(int(waiting/float64(c.window(false))))
	return flying + waiting*c.batches.slope() + further
}

// next starts a job and returns it, or one that is refused after all because
// it cannot be done in time any more; nil where none may start.
func (c *core) next(now time.Time) *job {
	if front := c.decided.Front(); front != nil {
		j := front.Value.(*job)
		if c.inFlight > 0 && c.inFlight+j.Cost > c.window(true) {
			return nil
		}
		c.decided.Remove(front)
		j.place = nil
		c.urgent -= j.Cost
		return c.start(now, j)
	}
	j := c.queue.first()
	if j == nil || c.inFlight > c.batch && c.inFlight+j.Cost > c.window(false) && float64(c.inFlight-c.batch+j.Cost) > c.batches.tries() {
		return nil
	}
	c.queue.pop(j)
	if c.flying > 0 && !j.deadline.IsZero() && now.Add(time.Duration(c.batches.takes(float64(c.inFlight-c.batch+j.Cost)))).After(j.deadline) {
		c.vacate(j)
		c.meter.judge(true) // it should not have been let wait
		j.refusal = c.refusal(now, Overdue, j.Cost)
		return j
	}
	return c.start(now, j)
}

func (c *core) start(now time.Time, j *job) *job {
	j.started, j.begun = true, now
	if c.meter.begin(now) {
		c.batches.begin(now)
		c.batch = j.Cost
	}
	c.inFlight += j.Cost
	c.flying++
	return j
}

// leave takes a job out that waits.
func (c *core) leave(j *job) {
	if j.Decided {
		c.decided.Remove(j.place)
		c.urgent -= j.Cost
		return
	}
	c.queue.remove(j)
	c.vacate(j)
}

// finish takes a job out that was started.
func (c *core) finish(now time.Time, j *job, outcome Outcome) {
	c.inFlight -= j.Cost
	c.flying--
	starving := c.queue.jobs == 0 && c.inFlight+j.Cost < c.window(false)/2
	if outcome == Undecided {
		c.meter.cut(c.flying > 0) // nothing was done
	} else {
		c.meter.end(now, j, c.flying > 0, starving, c.batches.longest())
		c.batches.end(now, j)
		c.batch = c.inFlight
	}
	if j.Decided {
		return
	}
	c.vacate(j)
	// Only those that were near the limit tell whether it is right.
	late := now.After(j.deadline)
	if (outcome == Succeeded || outcome == Undecided && late) && 2*j.estimated*c.meter.margin > float64(j.deadline.Sub(j.entered)) {
		c.meter.judge(late)
	}
}

// vacate gives a job's place to others.
func (c *core) vacate(j *job) {
	c.taken--
	if c.places[j.Shard]--; c.places[j.Shard] == 0 {
		delete(c.places, j.Shard)
	}
	if c.held[j.Tenant]--; c.held[j.Tenant] == 0 {
		delete(c.held, j.Tenant)
		c.weights -= c.cfg.weight(j.Tenant)
	}
}

// refusal refuses a job of some units. It may try again when those that were
// refused before it could have been done.
func (c *core) refusal(now time.Time, reason Reason, cost int) *Refusal {
	wait := c.refused.add(now, cost) * c.meter.each
	if reason != TooLate && reason != Overdue {
		wait += float64(c.queue.units+c.inFlight) * c.meter.each
	}
	return &Refusal{Reason: reason, RetryAfter: max(time.Duration(wait), minRetry)}
}

func (c *core) load(now time.Time) Load {
	return Load{
		Waiting: c.queue.jobs + c.decided.Len(), InFlight: c.flying, Window: c.window(false),
		Wait: time.Duration(c.estimate(now, "", 1)), Each: time.Duration(c.meter.each), Margin: c.meter.margin,
	}
}
