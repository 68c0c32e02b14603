package admission

import (
	"container/heap"
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// engine is a model of what does the work: it takes all that was let through,
// up to a limit, as one batch.
type engine struct {
	fixed, each time.Duration // of a batch, of a unit in it
	limit       int           // units in a batch
	stalls      float64       // share of batches that stall
	stall       time.Duration
	way         time.Duration // mean of what a call takes to come here, and as much back
	lasts       time.Duration // of a run in which chance evens out
}

// took is how long a batch of so many units takes.
func (e engine) took(random *rand.Rand, units int) time.Duration {
	took := float64(e.fixed) + float64(units)*float64(e.each)
	took *= math.Exp(0.15*random.NormFloat64() - 0.011) // of mean 1
	if random.Float64() < e.stalls {
		took += float64(e.stall)
	}
	return time.Duration(took)
}

// ways is what a call's two ways took.
func (e engine) ways(random *rand.Rand) time.Duration {
	if e.way == 0 {
		return 0
	}
	return time.Duration((random.ExpFloat64() + random.ExpFloat64()) * float64(e.way))
}

// capacity is the most jobs that it does in a second with less than 1% of them
// late, of as many callers as are best, each of which comes back at once.
func (e engine) capacity(random *rand.Rand) float64 {
	most, best := 0.0, 1
	for callers := 4; callers <= 1024; callers += callers / 3 {
		rate, late := e.closed(random, callers, 20_000)
		if late >= 0.01 && callers >= 16 {
			break
		}
		if rate > most {
			most, best = rate, callers
		}
	}
	rate, _ := e.closed(random, best, 100_000) // again: what was best had luck
	return rate
}

// closed is e with so many callers until so many jobs are done.
func (e engine) closed(random *rand.Rand, callers, enough int) (rate, late float64) {
	now, queue := epoch, slices.Repeat([]time.Time{epoch}, callers)
	jobs, lates, most := 0, 0, 1
	for jobs < enough && now.Before(epoch.Add(time.Minute)) {
		n := min(len(queue), most, e.limit)
		now = now.Add(e.took(random, n))
		batch := queue[:n]
		queue = queue[n:]
		most = max(1, len(queue)) // the next batch begins before these come back
		for _, entered := range batch {
			if jobs++; now.Sub(entered) > 80*time.Millisecond {
				lates++
			}
			queue = append(queue, now)
		}
	}
	return float64(jobs) / now.Sub(epoch).Seconds(), float64(lates) / float64(jobs)
}

// engines are as the ledger's writer was measured to be: on SQLite, on
// PostgreSQL, on a slow disk, and where bookings come one by one.
var engines = map[string]engine{
	"sqlite":     {fixed: 500 * time.Microsecond, each: 30 * time.Microsecond, limit: 1024, stalls: 0.01, stall: 10 * time.Millisecond, lasts: 3 * time.Second},
	"postgres":   {fixed: 2 * time.Millisecond, each: 70 * time.Microsecond, limit: 1024, stalls: 0.01, stall: 10 * time.Millisecond, lasts: 6 * time.Second},
	"slow disk":  {fixed: 3 * time.Millisecond, each: 400 * time.Microsecond, limit: 1024, stalls: 0.01, stall: 20 * time.Millisecond, lasts: 20 * time.Second},
	"one by one": {each: 2500 * time.Microsecond, limit: 1, lasts: 30 * time.Second},
}

// arrival is one job of a tenant that comes at a time.
type arrival struct {
	at   time.Time
	work Work
	// follows is how long after its end a decided job comes, 0 for never.
	follows time.Duration
}

type arrivals []arrival

func (a arrivals) Len() int           { return len(a) }
func (a arrivals) Less(i, j int) bool { return a[i].at.Before(a[j].at) }
func (a arrivals) Swap(i, j int)      { a[i], a[j] = a[j], a[i] }
func (a *arrivals) Push(x any)        { *a = append(*a, x.(arrival)) }
func (a *arrivals) Pop() any {
	last := (*a)[len(*a)-1]
	*a = (*a)[:len(*a)-1]
	return last
}

// tally is what became of a tenant's jobs in the time that counts.
type tally struct{ offered, accepted, inTime, refused, decided int }

// late is the share of the accepted that were not done in time.
func (t tally) late() float64 { return float64(t.accepted-t.inTime) / float64(max(t.accepted, 1)) }

// simulation drives a core by a virtual clock.
type simulation struct {
	t      *testing.T
	random *rand.Rand
	cfg    Config
	core   *core
	engine engine
	now    time.Time
	counts time.Time // since when jobs are tallied
	coming arrivals
	queue  []*job // let through, not in a batch
	batch  []*job
	ends   time.Time
	follow map[*job]time.Duration
	total  map[string]*tally
	most   int // jobs at once

	offered func(*job, *Refusal) // told of each, where set
	ended   func(*job)
}

var epoch = time.Unix(1_700_000_000, 0)

func newSimulation(t *testing.T, seed uint64, e engine, cfg Config) *simulation {
	cfg.Service = "test"
	cfg = cfg.withDefaults()
	return &simulation{
		t: t, random: rand.New(rand.NewPCG(seed, 1)), cfg: cfg, core: newCore(cfg), engine: e, now: epoch, counts: epoch.Add(warm),
		follow: map[*job]time.Duration{}, total: map[string]*tally{},
	}
}

// load adds open-loop arrivals: so many a second, from one time to another.
func (s *simulation) load(work Work, perSecond float64, from, until, follows time.Duration) {
	for at := from; ; {
		at += time.Duration(s.random.ExpFloat64() / perSecond * float64(time.Second))
		if at >= until {
			break
		}
		s.coming = append(s.coming, arrival{epoch.Add(at), work, follows})
	}
	heap.Init(&s.coming)
}

// run goes on until all is done; each is called at each step.
func (s *simulation) run(each func()) {
	for {
		busy := len(s.batch) > 0
		switch {
		case busy && (len(s.coming) == 0 || !s.coming[0].at.Before(s.ends)):
			s.now = s.ends
			s.end()
		case len(s.coming) > 0:
			next := heap.Pop(&s.coming).(arrival)
			s.now = next.at
			s.arrive(next)
		default:
			if s.core.taken != 0 || s.core.inFlight != 0 || s.core.urgent != 0 || len(s.core.held) != 0 || len(s.core.places) != 0 || s.core.queue.units != 0 {
				s.t.Errorf("at the end something is left: %+v", s.core)
			}
			return
		}
		s.dispatch()
		s.check()
		if each != nil {
			each()
		}
	}
}

func (s *simulation) tally(j *job) *tally {
	if s.total[j.Tenant] == nil {
		s.total[j.Tenant] = &tally{}
	}
	if j.entered.Before(s.counts) {
		return &tally{}
	}
	return s.total[j.Tenant]
}

func (s *simulation) arrive(a arrival) {
	j := newJob(context.Background(), s.now, s.cfg, a.work)
	s.follow[j] = a.follows
	counted := s.tally(j)
	refusal := s.core.offer(s.now, j)
	if s.offered != nil {
		s.offered(j, refusal)
	}
	switch {
	case a.work.Decided && refusal != nil:
		s.t.Errorf("decided work was refused: %v", refusal)
	case a.work.Decided:
		counted.decided++
	case refusal != nil:
		counted.offered++
		counted.refused++
	default:
		counted.offered++
		counted.accepted++
	}
}

// dispatch lets through what may start. An idle engine begins with the first:
// it does not wait for others to come.
func (s *simulation) dispatch() {
	for j := s.core.next(s.now); j != nil; j = s.core.next(s.now) {
		if j.refusal == nil {
			s.queue = append(s.queue, j)
		}
		s.begin(1)
	}
}

// begin begins a batch of what was let through, of at most so many jobs.
func (s *simulation) begin(most int) {
	if len(s.batch) > 0 {
		return
	}
	s.cut()
	if len(s.queue) == 0 {
		return
	}
	units, n := 0, 0
	for n < min(len(s.queue), most) && (n == 0 || units+s.queue[n].Cost <= s.engine.limit) {
		units += s.queue[n].Cost
		n++
	}
	s.batch, s.queue = s.queue[:n:n], append([]*job(nil), s.queue[n:]...)
	s.ends = s.now.Add(s.engine.took(s.random, units))
}

// cut leaves out whose callers have left.
func (s *simulation) cut() {
	stay := s.queue[:0]
	for _, j := range s.queue {
		if !j.deadline.IsZero() && s.now.After(j.deadline) {
			delete(s.follow, j)
			s.core.finish(s.now, j, Undecided)
			continue
		}
		stay = append(stay, j)
	}
	s.queue = stay
}

// end ends a batch. The next one is of what was let through before that.
func (s *simulation) end() {
	ended := s.batch
	s.batch = nil
	s.begin(len(s.queue))
	for _, j := range ended {
		s.core.finish(s.now, j, Succeeded)
		if s.ended != nil {
			s.ended(j)
		}
		if !j.Decided && s.now.Sub(j.entered)+s.engine.ways(s.random) <= s.cfg.Patience {
			s.tally(j).inTime++
		}
		if after := s.follow[j]; after > 0 {
			decided := j.Work
			decided.Decided = true
			heap.Push(&s.coming, arrival{at: s.now.Add(after), work: decided})
		}
		delete(s.follow, j)
	}
}

// check holds after every step.
func (s *simulation) check() {
	for shard, jobs := range s.core.places {
		if jobs > s.cfg.Limit {
			s.t.Errorf("%d jobs of shard %q wait", jobs, shard)
		}
	}
	s.most = max(s.most, s.core.taken)
	if s.core.taken > s.cfg.TotalLimit || s.core.inFlight < 0 || s.core.queue.units < 0 {
		s.t.Errorf("taken %d, in flight %d, waiting %d", s.core.taken, s.core.inFlight, s.core.queue.units)
	}
	if s.core.flying == 0 && (s.core.queue.jobs > 0 || s.core.decided.Len() > 0) {
		s.t.Error("jobs wait and none is in flight")
	}
}
