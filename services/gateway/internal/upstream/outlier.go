package upstream

import (
	"math"
	"time"

	"github.com/backlot-video/backlot/services/gateway/internal/edge"
)

// Why endpoints are ejected.
const (
	causeConsecutive = iota
	causeSuccessRate
	causes
)

var causeNames = [causes]string{"consecutive", "success_rate"}

const (
	// rateEndpoints is how many must have had rateTries each for their success
	// rates to be compared: among fewer, none can be far from the mean.
	rateEndpoints = 5
	rateTries     = 100
	// leastRateGap is how far below the mean a success rate must be at least:
	// among endpoints that are nearly alike a small difference means nothing.
	leastRateGap = 0.02
)

// ejection is what is known of an endpoint's ejections.
type ejection struct {
	until time.Time
	times int // lately: rises with each, falls with each interval without
}

// judge counts the end of a try, and ejects for failures in a row.
func (e *Endpoint) judge(failed bool, c *Cluster, now time.Time) {
	e.window.Add(1)
	if !failed {
		if e.consecutive.Load() != 0 {
			e.consecutive.Store(0)
		}
		return
	}
	e.failures.Add(1)
	if e.consecutive.Add(1) < int64(c.settings.Outlier.Consecutive) || e.ejected.Load() {
		return
	}
	g := e.group
	g.mu.Lock()
	defer g.mu.Unlock()
	g.eject(e, c, causeConsecutive, now)
}

// eject leaves an endpoint alone for a while, if not too many are already. The
// mu is held.
func (g *group) eject(e *Endpoint, c *Cluster, cause int, now time.Time) {
	if e.ejected.Load() || e.gone.Load() || c.ejections() >= c.mostEjections() {
		return
	}
	o := c.settings.Outlier
	e.ejection.times++
	e.ejection.until = now.Add(ejectFor(o, e.ejection.times))
	e.ejected.Store(true)
	g.ejected[cause].Add(1)
	g.version.Add(1)
	g.set.config.Log.Warn("endpoint is left alone for its failures",
		"cluster", g.name, "endpoint", e.key.address, "cause", causeNames[cause], "until", e.ejection.until)
}

// ejectFor grows with each ejection, up to a bound.
func ejectFor(o *edge.Outlier, times int) time.Duration {
	if o.BaseEject > o.MaxEject/time.Duration(times) {
		return o.MaxEject
	}
	return o.BaseEject * time.Duration(times)
}

// readmit ends an ejection. The mu is held.
func (g *group) readmit(e *Endpoint) {
	e.ejected.Store(false)
	e.consecutive.Store(0)
	e.window.Store(0)
	e.failures.Store(0)
	g.version.Add(1)
}

// ejections is how many of the cluster's are ejected now.
func (c *Cluster) ejections() (n int) {
	for _, m := range c.members {
		if !m.leaving && m.ejected.Load() {
			n++
		}
	}
	return n
}

// mostEjections is how many may be: the share asked for, one at least, but
// never all.
func (c *Cluster) mostEjections() int {
	n := 0
	for _, m := range c.members {
		if !m.leaving {
			n++
		}
	}
	return min(max(n*c.settings.Outlier.MaxEjectPercent/100, 1), n-1)
}

// limitEjections readmits those that were ejected first where a new
// configuration allows fewer, or none. The mu is held.
func (g *group) limitEjections(c *Cluster) {
	for {
		var first *Endpoint
		n := 0
		for _, m := range c.members {
			if m.ejected.Load() {
				n++
				if first == nil || m.ejection.until.Before(first.ejection.until) {
					first = m.Endpoint
				}
			}
		}
		if n == 0 || c.settings.Outlier != nil && c.ejections() <= c.mostEjections() {
			return
		}
		g.readmit(first)
	}
}

// judge ends ejections that are over, and each interval compares the success
// rates of endpoints.
func (g *group) judge(now time.Time) {
	c := g.newest.Load()
	o := c.settings.Outlier
	if o == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, m := range c.members {
		if m.ejected.Load() && !now.Before(m.ejection.until) {
			g.readmit(m.Endpoint)
			g.set.config.Log.Info("endpoint gets requests again", "cluster", g.name, "endpoint", m.key.address)
		}
	}
	if now.Sub(g.judged) < o.Interval {
		return
	}
	g.judged = now
	g.compare(c, now)
	for _, m := range c.members {
		if !m.ejected.Load() {
			m.ejection.times = max(m.ejection.times-1, 0)
		}
	}
}

// compare ejects endpoints whose success rate is further below the mean than
// is allowed, and begins the next interval. The mu is held.
func (g *group) compare(c *Cluster, now time.Time) {
	type rated struct {
		endpoint *Endpoint
		rate     float64
	}
	var all []rated
	for _, m := range c.members {
		tries, failures := m.window.Swap(0), m.failures.Swap(0)
		if tries >= rateTries && !m.ejected.Load() && !m.leaving {
			all = append(all, rated{m.Endpoint, 1 - float64(failures)/float64(tries)})
		}
	}
	if c.settings.Outlier.SuccessRate == 0 || len(all) < rateEndpoints {
		return
	}
	mean, variance := 0.0, 0.0
	for _, r := range all {
		mean += r.rate / float64(len(all))
	}
	for _, r := range all {
		variance += (r.rate - mean) * (r.rate - mean) / float64(len(all))
	}
	least := mean - max(c.settings.Outlier.SuccessRate*math.Sqrt(variance), leastRateGap)
	for _, r := range all {
		if r.rate < least {
			g.eject(r.endpoint, c, causeSuccessRate, now)
		}
	}
}
