package release

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	rulesv1 "github.com/backlot-video/backlot/proto/gen/backlot/rules/v1"
	"github.com/backlot-video/backlot/services/rules/internal/catalog"
)

const (
	tick = 500 * time.Millisecond
	// loadTime is how long a version of a rollout may be missing at a replica
	// before the rollout is taken back.
	loadTime = 30 * time.Second
	// applyTime bounds one change of an object, applyPause the next try.
	applyTime  = 5 * time.Second
	applyPause = 3 * time.Second
)

// errStale means that the rollout has moved on since it was looked at.
var errStale = errors.New("the rollout has moved on")

// Controller moves rollouts on when their time has come and takes those back
// that leave their bands, by what this replica sees. Several replicas may find
// the same: the first one's change counts.
type Controller struct {
	Catalog    *catalog.Catalog
	Follower   *Follower
	Store      *Store
	Log        *slog.Logger
	Clock      func() time.Time
	Registerer prometheus.Registerer

	moves  *prometheus.CounterVec
	paused map[string]pause // by ruleset
}

// pause keeps a step that was moved from being moved again at once.
type pause struct {
	step  int64 // when it began
	until time.Time
}

// Run controls until ctx ends.
func (c *Controller) Run(ctx context.Context) error {
	c.prepare()
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			c.Step(ctx)
		}
	}
}

func (c *Controller) prepare() {
	c.paused = map[string]pause{}
	c.moves = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "backlot_rules_rollout_moves_total", Help: "Steps that this replica made by itself: promoted, rolled_back, failed.",
	}, []string{"ruleset", "kind"})
	if c.Registerer != nil {
		c.Registerer.MustRegister(c.moves)
	}
}

// Step looks at all rollouts once.
func (c *Controller) Step(ctx context.Context) {
	c.Follower.Settle()
	c.Catalog.Tick()
	for name, spec := range c.Follower.Rulesets() {
		for _, kind := range [...]string{"promoted", "rolled_back", "failed"} {
			c.moves.WithLabelValues(name, kind) // there from the beginning, so that the first one is an increase
		}
		paused := c.paused[name]
		if isRunning(spec) && (paused.step != spec.GetRollout().GetStepStartedAt() || !c.Clock().Before(paused.until)) {
			c.look(ctx, name, spec.GetRollout())
		}
	}
}

// look decides about one rollout.
func (c *Controller) look(ctx context.Context, name string, r *rulesv1.Rollout) {
	now := c.Clock()
	seen, found := c.Catalog.Rollout(name)
	switch {
	case !found:
		if due(r, now) && r.GetStep().GetStage() == rulesv1.Stage_STAGE_FULL {
			c.move(ctx, name, r, "promoted", "its time has passed", func(spec *rulesv1.Ruleset, by By) error { return promote(spec, nil, by) })
		}
	case seen.Plan.Began.UnixMicro() != r.GetStepStartedAt():
	case seen.Left != "":
		c.move(ctx, name, r, "rolled_back", "band left: "+seen.Left, func(spec *rulesv1.Ruleset, by By) error { return rollback(spec, "", by) })
	case seen.Problem != "":
		c.troubled(ctx, name, r, &seen)
	case due(r, now) && seen.Enough:
		reason := fmt.Sprintf("%d facts within the bands", seen.Report.Candidate.Facts)
		c.move(ctx, name, r, "promoted", reason, func(spec *rulesv1.Ruleset, by By) error { return promote(spec, nil, by) })
	}
}

// troubled ends a rollout that this replica cannot run. Nothing goes back to a
// version that cannot be loaded.
func (c *Controller) troubled(ctx context.Context, name string, r *rulesv1.Rollout, seen *catalog.Rollout) {
	if c.Clock().UnixMicro() <= r.GetStepStartedAt()+loadTime.Microseconds() {
		return
	}
	reason := shorten("a replica cannot run it: " + seen.Problem)
	if seen.Former {
		c.move(ctx, name, r, "promoted", reason, func(spec *rulesv1.Ruleset, by By) error { return promote(spec, nil, by) })
		return
	}
	c.move(ctx, name, r, "rolled_back", reason, func(spec *rulesv1.Ruleset, by By) error { return rollback(spec, "", by) })
}

// move changes the object if it is still as it was looked at.
func (c *Controller) move(ctx context.Context, name string, r *rulesv1.Rollout, kind, reason string, edit func(*rulesv1.Ruleset, By) error) {
	ctx, cancel := context.WithTimeout(ctx, applyTime)
	defer cancel()
	_, err := c.Store.Change(ctx, name, reason, func(spec *rulesv1.Ruleset, by By) error {
		found := spec.GetRollout()
		if !isRunning(spec) || found.GetVersion() != r.GetVersion() || found.GetStepStartedAt() != r.GetStepStartedAt() {
			return errStale
		}
		return edit(spec, by)
	})
	log := c.Log.With("ruleset", name, "version", r.GetVersion(), "stage", stageName(r.GetStep().GetStage()), "reason", reason)
	// The change comes back by the watch; until then it is not made again.
	c.paused[name] = pause{r.GetStepStartedAt(), c.Clock().Add(applyPause)}
	switch {
	case err == nil:
		c.moves.WithLabelValues(name, kind).Inc()
		log.Warn("rollout moved by itself", "kind", kind)
	case errors.Is(err, errStale), errors.Is(err, ErrConflict), ctx.Err() != nil && errors.Is(ctx.Err(), context.Canceled):
	default:
		c.moves.WithLabelValues(name, "failed").Inc()
		log.Error("rollout cannot be moved and is tried again", "kind", kind, "err", err)
	}
}

// shorten fits a text into a release's reason.
func shorten(text string) string {
	const most = 1000
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "..."
}
