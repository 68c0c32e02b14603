package relay

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/backlot-video/backlot/services/gateway/internal/edge"
	"github.com/backlot-video/backlot/services/gateway/internal/exchange"
	"github.com/backlot-video/backlot/services/gateway/internal/filter"
	"github.com/backlot-video/backlot/services/gateway/internal/upstream"
)

// The bounds of what is held of a request's body.
const (
	// smallBody is held of any request, so that head and body go in one write.
	smallBody = 16 << 10
	// defaultHeld is held where a route's retries name no bound.
	defaultHeld = 64 << 10
	// mostHeld bounds what they may name.
	mostHeld = 1 << 20
)

// route is a route, compiled.
type route struct {
	*edge.Route
	chain       *filter.Chain
	parts       []part
	total       uint32 // of the parts' weights
	mirrors     []mirror
	held        int64 // most of a body that is held
	idle        time.Duration
	maxAttempts int
}

// part of a split.
type part struct {
	name            string
	cluster         *upstream.Cluster
	until           uint32 // sum of the weights up to here
	request, answer *filter.Edits
	http1           bool // endpoints speak HTTP/1.1, whatever the request is
}

type mirror struct {
	cluster         *upstream.Cluster
	partsPerMillion uint32
}

func compile(r *edge.Route, config *edge.Config, view *upstream.View, env *filter.Env) (*route, error) {
	chain, err := filter.Compile(r, config, env)
	if err != nil {
		return nil, err
	}
	c := &route{Route: r, chain: chain, held: smallBody, idle: r.Policy.IdleTimeout, maxAttempts: max(1, r.Policy.MaxAttempts)}
	if c.idle == 0 {
		c.idle = edge.DefaultIdleTimeout
	}
	if retry := r.Policy.Retry; retry != nil {
		c.held = retry.MaxBody
		if c.held == 0 {
			c.held = defaultHeld
		}
		c.held = min(max(c.held, smallBody), mostHeld)
	}
	if r.Target != edge.ToCluster {
		return c, nil
	}
	split := r.Split
	if len(split) == 0 {
		split = []edge.WeightedCluster{{Cluster: r.Cluster, Weight: 1}}
	}
	for i := range split {
		if err := c.addPart(&split[i], view); err != nil {
			return nil, err
		}
	}
	for _, m := range r.Mirrors {
		cluster := view.Cluster(m.Cluster)
		if cluster == nil {
			return nil, fmt.Errorf("mirrors: cluster %q does not exist", m.Cluster)
		}
		c.mirrors = append(c.mirrors, mirror{cluster, m.PartsPerMillion})
	}
	return c, nil
}

func (c *route) addPart(w *edge.WeightedCluster, view *upstream.View) error {
	cluster := view.Cluster(w.Cluster)
	if cluster == nil {
		return fmt.Errorf("cluster %q does not exist", w.Cluster)
	}
	c.total += w.Weight
	p := part{name: w.Cluster, cluster: cluster, until: c.total, http1: cluster.Settings().Protocol == edge.UpstreamHTTP1}
	var err error
	if p.request, err = filter.CompileEdits(w.RequestHeaders); err != nil {
		return fmt.Errorf("split %q: request_headers: %w", w.Cluster, err)
	}
	if p.answer, err = filter.CompileEdits(w.ResponseHeaders); err != nil {
		return fmt.Errorf("split %q: response_headers: %w", w.Cluster, err)
	}
	c.parts = append(c.parts, p)
	return nil
}

// choose takes a part of the split: by the key where there is one, so that it
// is the same each time, or else at random.
func (c *route) choose(key uint64, keyed bool) *part {
	if len(c.parts) == 1 {
		return &c.parts[0]
	}
	if c.total == 0 {
		return nil
	}
	at := rand.Uint32N(c.total)
	if keyed {
		at = uint32(key>>32) % c.total
	}
	for i := range c.parts {
		if at < c.parts[i].until {
			return &c.parts[i]
		}
	}
	return nil
}

// key is the hash of the first part that the request has of those that ring
// hash and sticky splits go by.
func (c *route) key(x *exchange.Exchange) (key uint64, keyed bool) {
	for i := range c.Policy.Hash {
		h := &c.Policy.Hash[i]
		switch {
		case h.Header != "":
			if value, found := x.Request.Fields.Find(h.Header); found {
				return hash(value), true
			}
		case h.Cookie != "":
			if value := cookie(x.Request.Fields, h.Cookie); value != nil {
				return hash(value), true
			}
		case h.SourceIP:
			address := x.From.As16()
			return hash(address[:]), true
		case h.Subject:
			if len(x.Subject) > 0 {
				return hash(x.Subject), true
			}
			if x.Principal.ID != "" {
				return hash([]byte(x.Principal.ID)), true
			}
		}
	}
	return 0, false
}

// hash is FNV-1a with its bits mixed (SplitMix64's end): the same in every
// gateway.
func hash(b []byte) uint64 {
	h := uint64(14695981039346656037)
	for _, c := range b {
		h = (h ^ uint64(c)) * 1099511628211
	}
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}

// cookie finds the value of a cookie, nil where there is none.
func cookie(fields exchange.Fields, name string) []byte {
	for i := range fields {
		if fields[i].ID != exchange.Cookie {
			continue
		}
		rest := fields[i].Value
		for len(rest) > 0 {
			var pair []byte
			pair, rest = cutCookie(rest)
			if len(pair) > len(name) && pair[len(name)] == '=' && string(pair[:len(name)]) == name {
				return pair[len(name)+1:]
			}
		}
	}
	return nil
}

// cutCookie takes one pair off a Cookie field.
func cutCookie(b []byte) (pair, rest []byte) {
	for len(b) > 0 && b[0] == ' ' {
		b = b[1:]
	}
	for i, c := range b {
		if c == ';' {
			return b[:i], b[i+1:]
		}
	}
	return b, nil
}
