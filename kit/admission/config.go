package admission

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/backlot-video/backlot/kit/breaker"
)

// Config tells what a Gate lets in. Zero fields mean the defaults.
type Config struct {
	Service string // required: owner, in names of metrics

	// Limit is the most jobs of one shard that wait or are being done, those
	// apart that are decided. Default 1024.
	Limit int
	// TotalLimit is the same for all shards together. Default 4 times Limit.
	TotalLimit int
	// Patience is the most that a job may be expected to take; a caller's
	// deadline may be sooner. Default 80 ms.
	Patience time.Duration
	// Transit is what a call is taken to spend where a Gate does not see it: on
	// its way here, since a deadline travels as what was left when it was sent,
	// and, once it is done, on its way back. Work is to be done that much before
	// its deadline, but no more than a quarter of what is left of it. Default
	// 4 ms; below 0 is none.
	Transit time.Duration
	// Weights are tenants' shares where many want to come in. Default 1 each.
	Weights map[string]int
	// Breaker says when failures stop new work. Default: half of at least 20
	// jobs within 5 s; for 1 s.
	Breaker breaker.Policy
	// FixedQueue makes the Gate a plain queue of Limit places for each shard,
	// first come, first served, which knows no deadlines, tenants or failures.
	FixedQueue bool

	Log        *slog.Logger          // default none
	Registerer prometheus.Registerer // default no metrics
	Clock      func() time.Time      // default time.Now
	Random     func() float64        // in [0, 1), for jitter; default rand.Float64
}

// Validate returns every fault, joined.
func (c Config) Validate() error {
	var faults []error
	check := func(holds bool, fault string, args ...any) {
		if !holds {
			faults = append(faults, fmt.Errorf(fault, args...))
		}
	}
	check(c.Service != "", "service: it is empty")
	check(c.Limit >= 0, "limit: it is negative")
	check(c.TotalLimit == 0 || c.TotalLimit >= c.Limit, "total_limit: %d is less than limit, %d", c.TotalLimit, c.Limit)
	check(c.Patience >= 0, "patience: it is negative")
	check(c.Transit <= time.Minute, "transit: %v, must be at most %v", c.Transit, time.Minute)
	for tenant, weight := range c.Weights {
		check(weight >= 1 && weight <= maxWeight, "weights.%s: %d, must be within 1 and %d", tenant, weight, maxWeight)
	}
	return errors.Join(faults...)
}

const maxWeight = 1000

func (c Config) withDefaults() Config {
	if c.Limit == 0 {
		c.Limit = 1024
	}
	if c.TotalLimit == 0 {
		c.TotalLimit = 4 * c.Limit
	}
	if c.Patience == 0 {
		c.Patience = 80 * time.Millisecond
	}
	if c.Transit == 0 {
		c.Transit = 4 * time.Millisecond
	}
	c.Transit = max(c.Transit, 0)
	if c.Breaker == (breaker.Policy{}) {
		c.Breaker = breaker.Policy{FailurePPM: 500_000, MinCalls: 20, Window: 5 * time.Second, Open: time.Second}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Random == nil {
		c.Random = rand.Float64
	}
	return c
}

func (c Config) weight(tenant string) int { return max(c.Weights[tenant], 1) }
