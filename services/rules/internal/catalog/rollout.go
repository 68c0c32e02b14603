package catalog

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/backlot-video/backlot/services/rules"
	"github.com/backlot-video/backlot/services/rules/internal/rollout"
)

// Rollout is what this replica saw of a rollout that runs.
type Rollout struct {
	Ruleset string
	Version string // on its way into force, or in force and compared
	Plan    rollout.Plan
	Report  rollout.Report
	// Left is the band that was left, empty while none was.
	Left string
	// Enough tells whether as many facts were compared as bands ask for.
	Enough bool
	// Problem tells why the rollout is not run here; empty when it is.
	Problem string
	// Former tells that the problem is the version before, of one that is in
	// force already.
	Former bool
}

// Rollout tells of a ruleset's rollout, false where none is known.
func (c *Catalog) Rollout(ruleset string) (Rollout, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	entry := c.rulesets[ruleset]
	if entry == nil || entry.wanted.Beside == nil {
		return Rollout{}, false
	}
	plan := entry.wanted.Beside.Plan
	r := Rollout{Ruleset: ruleset, Version: entry.wanted.Beside.Version, Plan: plan}
	if plan.Stage == rollout.Full {
		r.Version = entry.wanted.Version
	}
	if entry.beside == nil || !entry.beside.plan.Began.Equal(plan.Began) {
		r.Problem = "it has not been loaded"
		for _, err := range []error{entry.rejected, entry.besideRejected} {
			if err != nil {
				r.Problem = err.Error()
			}
		}
		r.Former = plan.Stage == rollout.Full && entry.rejected == nil
		return r, true
	}
	t := entry.beside.tracker
	r.Report, r.Left, r.Enough = t.Report(), t.Tripped(), t.Enough()
	return r, true
}

// Tick moves the windows of all rollouts on and looks at their bands. Where
// one is left, this replica answers by the other version at once.
func (c *Catalog) Tick() {
	now := c.config.Clock()
	c.mu.Lock()
	defer c.mu.Unlock()
	for name, entry := range c.rulesets {
		if entry.beside == nil {
			continue
		}
		t := entry.beside.tracker
		t.Turn(now)
		if before := t.Tripped(); before == "" {
			if reason := t.Judge(); reason != "" {
				c.config.Log.Error("rollout left its band", "ruleset", name, "stage", entry.beside.plan.Stage.String(), "reason", reason)
			}
		}
	}
}

// rolloutCollector tells the metrics of rollouts that run.
type rolloutCollector struct{ catalog *Catalog }

var (
	rolloutStage   = describe("stage", "Stage of a rollout that runs: 1 shadow, 2 canary, 3 full.", "ruleset")
	rolloutShare   = describe("share_ratio", "Share of the facts that a canary is asked to answer.", "ruleset")
	rolloutFacts   = describe("facts_total", "Facts that both versions judged in this step of a rollout.", "ruleset", "version")
	rolloutErrors  = describe("errors_total", "Facts that a version could not judge, or only with unknown values.", "ruleset", "version")
	rolloutDenied  = describe("denied_total", "Facts that a version denied.", "ruleset", "version")
	rolloutAnswers = describe("answers_total", "Facts that a version was the answer for.", "ruleset", "version")
	rolloutLatency = describe("p99_seconds", "99th percentile of the time to judge, within the window of the bands.", "ruleset", "version")
	rolloutChanges = describe("changes_total", "Facts on which the two versions differ.", "ruleset", "live", "candidate")
	rolloutSkipped = describe("skipped_total", "Facts that the candidate was spared for being slow.", "ruleset")
)

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("backlot_rules_rollout_"+name, help, labels, nil)
}

// Describe implements prometheus.Collector.
func (rolloutCollector) Describe(to chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{
		rolloutStage, rolloutShare, rolloutFacts, rolloutErrors, rolloutDenied, rolloutAnswers, rolloutLatency, rolloutChanges, rolloutSkipped,
	} {
		to <- desc
	}
}

// Collect implements prometheus.Collector.
func (r rolloutCollector) Collect(to chan<- prometheus.Metric) {
	r.catalog.mu.Lock()
	defer r.catalog.mu.Unlock()
	for name, entry := range r.catalog.rulesets {
		if entry.beside != nil {
			entry.beside.collect(name, to)
		}
	}
}

func (b *beside) collect(name string, to chan<- prometheus.Metric) {
	gauge := func(desc *prometheus.Desc, value float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels...)
	}
	count := func(desc *prometheus.Desc, value uint64, labels ...string) {
		to <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(value), labels...)
	}
	report := b.tracker.Report()
	gauge(rolloutStage, float64(b.plan.Stage), name)
	gauge(rolloutShare, float64(b.plan.PPM)/1e6, name)
	count(rolloutSkipped, report.Skipped, name)
	for _, side := range []struct {
		name          string
		total, window rollout.Tally
	}{{"candidate", report.Candidate, report.CandidateWindow}, {"live", report.Live, report.LiveWindow}} {
		count(rolloutFacts, side.total.Facts, name, side.name)
		count(rolloutErrors, side.total.Errors, name, side.name)
		count(rolloutDenied, side.total.Denied, name, side.name)
		count(rolloutAnswers, side.total.Answered, name, side.name)
		gauge(rolloutLatency, float64(side.window.P99)/float64(time.Second), name, side.name)
	}
	for live, row := range report.Changes {
		for candidate, facts := range row {
			if facts > 0 {
				count(rolloutChanges, facts, name, verdict(live), verdict(candidate))
			}
		}
	}
}

// verdict names an Outcome's verdict; 0 is that of a fact that failed.
func verdict(n int) string {
	if n == 0 {
		return "none"
	}
	return rules.Action(n).String()
}
