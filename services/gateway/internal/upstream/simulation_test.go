package upstream

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/backlot-video/backlot/services/gateway/internal/edge"
)

// simulation is a cluster under traffic whose endpoints fail, recover, come
// and go, and what must hold after every step.
type simulation struct {
	t       *testing.T
	seed    uint64
	random  *rand.Rand
	now     time.Time
	set     *Set
	views   []*View // the last is in force
	flights []flight
	failing map[string]float64 // chance of failure, by address
	ejected int                // ejections seen
	opened  bool               // a breaker was
}

// flight is a request on its way, with the try that it is at.
type flight struct {
	cluster  *Cluster
	endpoint *Endpoint
	began    time.Time
	tried    []*Endpoint
	retry    bool
}

func (s *simulation) clock() time.Time { return s.now }

func (s *simulation) fail(format string, args ...any) {
	s.t.Helper()
	s.t.Fatalf("seed %d: %s", s.seed, fmt.Sprintf(format, args...))
}

// configure puts a random configuration in force.
func (s *simulation) configure() {
	c := edge.Cluster{
		Balance:     edge.Balance(s.random.IntN(4)),
		MaxRequests: 1 + s.random.IntN(40), MaxRetries: 1 + s.random.IntN(8), RetryBudget: s.random.Float64(),
		Outlier: &edge.Outlier{
			Consecutive: 1 + s.random.IntN(5), MaxEjectPercent: s.random.IntN(101), SuccessRate: s.random.Float64() * 3,
			BaseEject: time.Duration(1+s.random.IntN(20)) * time.Second, Interval: time.Second,
		},
	}
	if s.random.IntN(2) == 0 {
		c.Errors = &edge.ErrorBreaker{Share: 0.3 + s.random.Float64()/2, OpenFor: time.Second}
	}
	if s.random.IntN(2) == 0 {
		c.Health = &edge.HealthCheck{Path: "/"}
	}
	if s.random.IntN(8) == 0 {
		c.Outlier = nil
	}
	for i := range 12 {
		if s.random.IntN(3) > 0 {
			c.Endpoints = append(c.Endpoints, edge.Endpoint{
				Address: fmt.Sprintf("10.0.0.%d:80", i), Weight: uint32(s.random.IntN(4)), Draining: s.random.IntN(8) == 0,
			})
		}
	}
	v, err := s.set.Build(map[string]edge.Cluster{"c": c}, nil)
	if err != nil {
		s.fail("build: %v", err)
	}
	s.views = append(s.views, v)
	if len(s.views) > 1 {
		old := s.random.IntN(len(s.views) - 1)
		s.views[old].Retire()
		s.views = slices.Delete(s.views, old, old+1)
	}
}

func (s *simulation) cluster() *Cluster { return s.views[len(s.views)-1].Cluster("c") }

// step does one thing of those that happen.
func (s *simulation) step() {
	s.now = s.now.Add(time.Duration(s.random.IntN(50)) * time.Millisecond)
	g := s.cluster().group
	switch n := s.random.IntN(1000); {
	case n < 2:
		s.configure()
	case n < 10:
		s.failing[fmt.Sprintf("10.0.0.%d:80", s.random.IntN(12))] = []float64{0, 0, 0, 0.3, 1}[s.random.IntN(5)]
	case n < 40:
		g.judge(s.now)
	case n < 70:
		s.health()
	case n < 500:
		s.begin()
	default:
		s.end()
	}
}

func (s *simulation) health() {
	c := s.cluster()
	if c.settings.Health == nil || len(c.members) == 0 {
		return
	}
	m := c.members[s.random.IntN(len(c.members))]
	var err error
	if s.failing[m.key.address] == 1 {
		err = errors.New("down")
	}
	c.group.mu.Lock()
	defer c.group.mu.Unlock()
	m.checked(err, c.settings.Health)
}

func (s *simulation) begin() {
	c := s.cluster()
	err := c.Admit(s.now)
	admitted := c.group.requests.Load()
	switch {
	case errors.Is(err, ErrOpen):
		s.opened = true
		if c.breaker == nil || c.breaker.state.Load() == closed {
			s.fail("a closed breaker refuses")
		}
		return
	case errors.Is(err, ErrFull):
		if admitted < int64(c.settings.MaxRequests) {
			s.fail("refused with %d of %d requests", admitted, c.settings.MaxRequests)
		}
		return
	case admitted > int64(c.settings.MaxRequests):
		s.fail("%d requests of at most %d", admitted, c.settings.MaxRequests)
	}
	s.try(flight{cluster: c})
}

// try picks for a request that was admitted.
func (s *simulation) try(f flight) {
	e, err := f.cluster.Pick(s.random.Uint64(), s.random.IntN(4) > 0, f.tried)
	if err != nil {
		if slices.ContainsFunc(f.cluster.members, func(m member) bool { return !m.leaving }) {
			s.fail("no endpoint, though there is one")
		}
		if f.retry {
			f.cluster.EndRetry()
		}
		f.cluster.Release()
		return
	}
	s.checkPicked(f, e)
	e.Begin()
	f.endpoint, f.began = e, s.now
	s.flights = append(s.flights, f)
}

func (s *simulation) checkPicked(f flight, e *Endpoint) {
	open, usable, untried := 0, 0, 0
	for _, m := range f.cluster.members {
		if m.Endpoint == e && m.leaving {
			s.fail("an endpoint that is leaving gets a request")
		}
		if m.leaving {
			continue
		}
		open++
		if m.usable() {
			usable++
			if !slices.Contains(f.tried, m.Endpoint) {
				untried++
			}
		}
	}
	enough := usable > 0 && float64(usable) >= f.cluster.settings.PanicThreshold*float64(open)
	if enough && !e.usable() {
		s.fail("an unusable endpoint gets a request while %d of %d are usable", usable, open)
	}
	if enough && untried > 0 && slices.Contains(f.tried, e) {
		s.fail("a tried endpoint is tried again while %d are untried", untried)
	}
}

// end lets one request end, or be tried again.
func (s *simulation) end() {
	if len(s.flights) == 0 {
		return
	}
	at := s.random.IntN(len(s.flights))
	f := s.flights[at]
	s.flights = slices.Delete(s.flights, at, at+1)
	o := Outcome{Status: 200, Took: s.now.Sub(f.began)}
	switch {
	case s.random.IntN(20) == 0:
		o.Result = []Result{Aborted, Refused}[s.random.IntN(2)]
	case s.random.Float64() < s.failing[f.endpoint.key.address]:
		o = []Outcome{{Status: 503}, {Result: Unreached}, {Result: Broken}, {Result: TimedOut}}[s.random.IntN(4)]
		o.Took = s.now.Sub(f.began)
	}
	wasEjected := f.endpoint.ejected.Load()
	f.endpoint.Done(o, s.now)
	if !wasEjected && f.endpoint.ejected.Load() && !o.failed() {
		s.fail("ejected for %v %d", o.Result, o.Status)
	}
	if f.retry {
		f.cluster.EndRetry()
		f.retry = false
	}
	if o.failed() && len(f.tried) < 3 && f.cluster.BeginRetry() {
		f.tried, f.retry = append(slices.Clone(f.tried), f.endpoint), true
		s.try(f)
		return
	}
	f.cluster.Release()
}

// check looks at what must hold always.
func (s *simulation) check() {
	c := s.cluster()
	g := c.group
	retries, byEndpoint := int64(0), map[*Endpoint]int64{}
	for _, f := range s.flights {
		byEndpoint[f.endpoint]++
		if f.retry {
			retries++
		}
	}
	if got := g.requests.Load(); got != int64(len(s.flights)) {
		s.fail("%d requests are counted, %d are on their way", got, len(s.flights))
	}
	if got := g.retries.Load(); got != retries {
		s.fail("%d retries are counted, %d are on their way", got, retries)
	}
	for _, m := range c.members {
		if got := m.active.Load(); got != byEndpoint[m.Endpoint] {
			s.fail("%d tries are counted, %d are on their way", got, byEndpoint[m.Endpoint])
		}
	}
	ejected := c.ejections()
	s.ejected += ejected
	if c.settings.Outlier == nil && ejected > 0 || c.settings.Outlier != nil && ejected > max(c.mostEjections(), 0) {
		s.fail("%d endpoints are ejected of %d", ejected, len(c.members))
	}
	if b := c.breaker; b != nil && b.granted+b.good > b.policy.Probes {
		s.fail("%d probes at once", b.granted+b.good)
	}
}

func TestSimulation(t *testing.T) {
	ejected, opened := 0, false
	for seed := range uint64(40) {
		s := &simulation{
			t: t, seed: seed + 1, random: rand.New(rand.NewPCG(seed+1, 7)), now: time.Unix(1_700_000_000, 0),
			failing: map[string]float64{},
		}
		s.set = New(Config{Clock: s.clock, Seed: seed + 1})
		s.configure()
		for range 4000 {
			s.step()
			s.check()
		}
		for len(s.flights) > 0 {
			s.end()
			s.check()
		}
		s.now = s.now.Add(time.Hour)
		s.cluster().group.judge(s.now)
		if n := s.cluster().ejections(); n != 0 {
			s.fail("%d endpoints are ejected forever", n)
		}
		for _, v := range s.views {
			v.Retire()
		}
		if len(s.set.groups) != 0 || len(s.set.views) != 0 {
			s.fail("groups are left: %v", s.set.groups)
		}
		ejected, opened = ejected+s.ejected, opened || s.opened
	}
	if ejected == 0 || !opened {
		t.Errorf("nothing happened: %d ejections, breaker opened: %v", ejected, opened)
	}
}
