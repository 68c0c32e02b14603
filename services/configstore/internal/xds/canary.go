package xds

import (
	"slices"
	"strings"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"

	"github.com/backlot-video/backlot/services/configstore/ads"
)

// canaryView is that of nodes which get a release first.
const canaryView = "canary"

// DefaultHold is how long canaries prove a release.
const DefaultHold = 10 * time.Second

// Canary names the nodes that get a release before all others.
type Canary struct {
	// Nodes are ids or clusters of nodes; a `*` at the end stands for anything.
	// None: there are no canaries.
	Nodes []string
	// Hold is the shortest time between canaries and others; default
	// DefaultHold. Changes of endpoints do not wait.
	Hold time.Duration
}

func (c Canary) enabled() bool { return len(c.Nodes) > 0 }

// view tells nodes apart.
func (c Canary) view() func(*corev3.Node) string {
	if !c.enabled() {
		return nil
	}
	return func(node *corev3.Node) string {
		if c.names(node.GetId()) || c.names(node.GetCluster()) {
			return canaryView
		}
		return ""
	}
}

func (c Canary) names(text string) bool {
	return slices.ContainsFunc(c.Nodes, func(pattern string) bool {
		if prefix, cut := strings.CutSuffix(pattern, "*"); cut {
			return strings.HasPrefix(text, prefix)
		}
		return text == pattern
	})
}

// trial is a release that only canaries have.
type trial struct {
	release string // empty: none
	until   time.Time
	timer   *time.Timer
	blocked bool // a canary refused it
}

// begin tries a release, unless all have it.
func (t *trial) begin(release string, stable *ads.Snapshot, hold time.Duration) {
	if stable == nil || stable.Release() == release || t.release == release {
		return
	}
	if hold <= 0 {
		hold = DefaultHold
	}
	t.end()
	*t = trial{release: release, until: time.Now().Add(hold), timer: time.NewTimer(hold)}
}

// ends fires when the trial's time is over; never where there is none.
func (t *trial) ends() <-chan time.Time {
	if t.timer == nil {
		return nil
	}
	return t.timer.C
}

func (t *trial) end() {
	if t.timer != nil {
		t.timer.Stop()
	}
	*t = trial{}
}

// judge gives a release to all when its time is over and every canary has
// taken it. One that a canary refuses stays theirs until there is another.
func (p *Plane) judge() {
	t := &p.trial
	defer func() { p.metrics.held(t.release != "", t.blocked) }()
	if t.release == "" {
		return
	}
	canaries, accepted, refused := p.server.Standing(canaryView, p.first.last)
	if refused > 0 {
		if !t.blocked {
			p.config.Log.Error("release is refused by a canary and goes no further", "release_id", t.release)
		}
		t.blocked = true
		return
	}
	t.blocked = false
	if time.Now().Before(t.until) || accepted < canaries {
		return
	}
	p.config.Log.Info("release has passed its canaries", "release_id", t.release, "canaries", canaries)
	t.end()
	p.stable.at(p.first.state.clone())
}
