package canary

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	"github.com/backlot-video/backlot/services/configstore/internal/ack"
)

const (
	// lookEvery is the time between two looks at a store's canaries.
	lookEvery = time.Second
	// settleAfter is how long a member has to have looked before it lets
	// canaries go on: by then every instance has reported, to whomever.
	settleAfter = ack.Lease / 2
	// lookTimeout bounds one look.
	lookTimeout = 10 * time.Second
)

// Owned is a canary and whose it is.
type Owned struct {
	Tenant string
	Canary *configstorev1.Canary
}

// Store keeps canaries. What changes one is done if it is still as it was read.
type Store interface {
	LiveCanaries(ctx context.Context) ([]Owned, error)
	AdvanceCanary(ctx context.Context, tenant string, c *configstorev1.Canary, author string) (*configstorev1.Canary, error)
	PromoteCanary(ctx context.Context, tenant string, c *configstorev1.Canary, author string) (*configstorev1.Canary, error)
	EndCanary(
		ctx context.Context, tenant string, c *configstorev1.Canary, state configstorev1.Canary_State, author, why string,
	) (*configstorev1.Canary, error)
	ArchiveCanary(ctx context.Context, tenant string, c *configstorev1.Canary) error
}

// Config is what a Pilot needs.
type Config struct {
	Store Store
	// Leads tells whether this member leads now. All members look, so that any
	// can go on; one acts.
	Leads func() bool
	// Reports are those of a tenant's instances, and the members that are silent.
	Reports    func(ctx context.Context, tenant string) (entries []ack.Entry, silent []string)
	Clock      func() time.Time
	Log        *slog.Logger
	Registerer prometheus.Registerer // may be nil
}

// Pilot drives canaries. What it did is in the store; what it saw is in memory
// and seen anew by another member, which then waits for as many samples again.
type Pilot struct {
	config Config
	began  time.Time
	ends   *prometheus.CounterVec
	live   prometheus.Gauge

	mu      sync.Mutex
	windows map[string]*window // by canary
}

// NewPilot returns a pilot that does nothing until Run.
func NewPilot(config Config) *Pilot {
	p := &Pilot{
		config: config, began: config.Clock(), windows: make(map[string]*window),
		ends: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "backlot_configstore_canaries_ended_total", Help: "Canaries that this member ended, by state.",
		}, []string{"state"}),
		live: prometheus.NewGauge(prometheus.GaugeOpts{Name: "backlot_configstore_canaries", Help: "Canaries that run."}),
	}
	if config.Registerer != nil {
		config.Registerer.MustRegister(p.ends, p.live)
	}
	return p
}

// Run looks every second until ctx ends, and then returns nil.
func (p *Pilot) Run(ctx context.Context) error {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			p.Look(ctx)
		case <-ctx.Done():
			return nil
		}
	}
}

// Look looks once at every canary, and does what is due.
func (p *Pilot) Look(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	all, err := p.config.Store.LiveCanaries(ctx)
	if err != nil {
		p.config.Log.Warn("canaries cannot be read and stay as they are", "err", err)
		return
	}
	running, alive := 0, make(map[string]bool, len(all))
	for _, one := range all {
		if one.Canary.GetState() != configstorev1.Canary_STATE_RUNNING {
			if p.config.Leads() {
				p.failed(one, p.config.Store.ArchiveCanary(ctx, one.Tenant, one.Canary))
			}
			continue
		}
		running++
		alive[one.Canary.GetId()] = true
		_, verdict := p.see(ctx, one)
		if p.config.Leads() {
			p.act(ctx, one, verdict)
		}
	}
	p.live.Set(float64(running))
	p.mu.Lock()
	defer p.mu.Unlock()
	for id := range p.windows {
		if !alive[id] {
			delete(p.windows, id)
		}
	}
}

// see gathers what is known of a canary that runs.
func (p *Pilot) see(ctx context.Context, one Owned) (*configstorev1.CanaryEvidence, verdict) {
	entries, silent := p.config.Reports(ctx, one.Tenant)
	now := p.config.Clock()
	all := standings(one.Canary, entries)
	p.mu.Lock()
	defer p.mu.Unlock()
	w := p.windows[one.Canary.GetId()]
	if w == nil || w.step != one.Canary.GetStep() {
		w = newWindow(one.Canary.GetStep())
		p.windows[one.Canary.GetId()] = w
	}
	w.take(all, now)
	missing, _ := w.missing(now)
	e := gather(one.Canary, all, w, silent, now)
	v := judge(one.Canary, e, missing, now)
	if v.on && now.Sub(p.began) < settleAfter {
		v = verdict{why: "reports to this member, which has just started"}
	}
	if !v.back {
		e.WaitsFor = v.why
	}
	return e, v
}

// Evidence is what this member knows of a canary.
func (p *Pilot) Evidence(ctx context.Context, tenant string, c *configstorev1.Canary) *configstorev1.CanaryEvidence {
	e, _ := p.see(ctx, Owned{tenant, c})
	return e
}

// act does what is due; what fails is tried at the next look.
func (p *Pilot) act(ctx context.Context, one Owned, v verdict) {
	c, store := one.Canary, p.config.Store
	var now *configstorev1.Canary
	var err error
	switch {
	case v.back:
		now, err = store.EndCanary(ctx, one.Tenant, c, configstorev1.Canary_STATE_ROLLED_BACK, "", v.why)
	case !v.on:
		return
	case int(c.GetStep()) < len(c.GetPlan().GetSteps())-1:
		now, err = store.AdvanceCanary(ctx, one.Tenant, c, "")
	default:
		now, err = store.PromoteCanary(ctx, one.Tenant, c, "")
	}
	if now == nil || p.failed(one, err) {
		return
	}
	if now.GetState() == configstorev1.Canary_STATE_RUNNING {
		p.config.Log.Info("canary goes on", "canary_id", c.GetId(), "step", now.GetStep()+1)
		return
	}
	p.ends.WithLabelValues(word(now.GetState())).Inc()
	p.config.Log.Info("canary has ended", "canary_id", c.GetId(), "state", word(now.GetState()), "verdict", now.GetVerdict())
}

func (p *Pilot) failed(one Owned, err error) bool {
	if err != nil {
		p.config.Log.Warn("canary stays as it is for now", "canary_id", one.Canary.GetId(), "err", err)
	}
	return err != nil
}

// word is a state as people say it.
func word(state configstorev1.Canary_State) string {
	return [...]string{"unknown", "running", "promoted", "rolled_back", "aborted", "conflicted"}[state]
}
