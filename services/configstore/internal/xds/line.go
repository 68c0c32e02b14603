package xds

import (
	"fmt"
	"time"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"

	"github.com/backlot-video/backlot/services/configstore/ads"
)

// line is a state and the snapshots made of it, one after the other.
type line struct {
	state    *state
	stale    bool // the state has changed since last
	renderer renderer
	sealer   sealer
	last     *ads.Snapshot // nil before the first
}

// at goes on from another state; nil begins a line.
func (l *line) at(state *state) *line {
	if l == nil {
		l = new(line)
	}
	l.state, l.stale = state, true
	// Counters of a state that was listed anew begin anew.
	l.renderer.listeners, l.renderer.tables = memo[*listenerv3.Listener]{}, memo[*routev3.RouteConfiguration]{}
	return l
}

// matters notes that the state has changed, if it has.
func (l *line) matters(changed bool) { l.stale = l.stale || changed }

// next makes a snapshot of the state and tells whether it is another than the
// last one.
func (l *line) next() (changed bool, err error) {
	if !l.stale {
		return false, nil
	}
	l.stale = false
	rendered, err := l.renderer.render(l.state)
	if err != nil {
		return false, fmt.Errorf("render: %w", err)
	}
	resources, err := l.sealer.seal(rendered)
	if err != nil {
		return false, err
	}
	// Versions rise with time, so also over restarts.
	next, changed := ads.Next(l.last, l.state.release, uint64(time.Now().UnixMicro()), resources)
	if changed {
		next.At(l.state.revision)
		l.last = next
	}
	return changed, nil
}
