package rpc

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/backlot-video/backlot/proto/rpcdesc"
)

// ejection is how long an endpoint that could not be reached is passed over
// while there are others.
const ejection = time.Second

// pool holds the connections to a service's endpoints and follows the
// resolver's answers.
type pool struct {
	config  *ClientConfig
	service string
	turn    atomic.Uint64
	current atomic.Pointer[members]
	mu      sync.Mutex // changes of current
}

// members belong to one answer of the resolver, and are not changed.
type members struct {
	answer    []Endpoint
	list      []*member
	near, far group // of list: in the caller's zone or in none, and elsewhere
}

// group are members that take turns.
type group struct {
	list []*member
	shares
}

// member is an endpoint with its connections, which are made when needed.
type member struct {
	Endpoint
	config  *ClientConfig
	service string

	inFlight atomic.Int64
	downTill atomic.Int64 // Unix nanoseconds
	retired  atomic.Bool

	mu      sync.Mutex
	http    *http.Transport
	connect map[string]*connectClient // by procedure
	kitex   map[string]*kitexClient   // by proto service
}

// spill is by how many more calls in flight than elsewhere the zone of the
// caller is left.
const spill = 32

// pick returns the least loaded member, by weight, that is usable and not
// ejected, taking turns among equals. Members of the caller's zone come first
// while they carry no more than twice and spill calls more than the least
// loaded elsewhere. An ejected one is picked where there is no other; nil where
// there is none at all. The caller releases it.
func (p *pool) pick(usable func(Endpoint) bool) *member {
	now, clock, turn := p.members(), p.config.Clock().UnixNano(), p.turn.Add(1)
	near, nearDown := now.near.lightest(turn, clock, usable)
	far, farDown := now.far.lightest(turn, clock, usable)
	best := near
	switch {
	case near == nil && far == nil:
		best = cmp.Or(nearDown, farDown)
	case near == nil, far != nil && near.inFlight.Load() > 2*far.inFlight.Load()+spill:
		best = far
	}
	if best != nil {
		best.inFlight.Add(1)
	}
	return best
}

// lightest are the least loaded member that is not ejected, and of those that
// are; nil where there is none.
func (g *group) lightest(turn uint64, clock int64, usable func(Endpoint) bool) (up, down *member) {
	if len(g.list) == 0 {
		return nil, nil
	}
	first := g.first(turn, len(g.list))
	for i := range g.list {
		m := g.list[(first+i)%len(g.list)]
		switch {
		case !usable(m.Endpoint):
		case m.downTill.Load() > clock:
			down = m.orLighter(down)
		default:
			up = m.orLighter(up)
		}
	}
	return up, down
}

// orLighter returns than where m is not less loaded.
func (m *member) orLighter(than *member) *member {
	if than == nil || m.inFlight.Load()*than.weight() < than.inFlight.Load()*m.weight() {
		return m
	}
	return than
}

func (e Endpoint) weight() int64 { return int64(orDefault(e.Weight, DefaultWeight)) }

func (p *pool) members() *members {
	answer := p.config.Resolver.Resolve(p.service)
	if now := p.current.Load(); now != nil && slices.Equal(now.answer, answer) {
		return now
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	former := p.current.Load()
	if former == nil {
		former = &members{}
	}
	next := &members{answer: slices.Clone(answer)}
	for _, endpoint := range answer {
		next.list = append(next.list, former.find(endpoint, p))
	}
	next.divide(p.config.Zone)
	p.current.Store(next)
	for _, m := range former.list {
		if !slices.Contains(next.list, m) {
			_ = m.retire() // closing an idle connection that nobody will use
		}
	}
	return next
}

// divide makes the groups for a caller in a zone.
func (m *members) divide(zone string) {
	for _, one := range m.list {
		to := &m.far
		if one.Zone == zone || one.Zone == "" || zone == "" {
			to = &m.near
		}
		to.list = append(to.list, one)
	}
	m.near.shares, m.far.shares = newShares(m.near.list), newShares(m.far.list)
}

// find returns the member of an endpoint, a new one where there is none.
func (m *members) find(endpoint Endpoint, p *pool) *member {
	for _, known := range m.list {
		if known.Endpoint == endpoint {
			return known
		}
	}
	return &member{Endpoint: endpoint, config: p.config, service: p.service}
}

func (p *pool) close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	former := p.current.Swap(nil)
	if former == nil {
		return nil
	}
	var faults []error
	for _, m := range former.list {
		faults = append(faults, m.retire())
	}
	return errors.Join(faults...)
}

// call makes one try of a unary call, by the fastest way there is.
func (m *member) call(ctx context.Context, method *rpcdesc.Method, outgoing *call, req proto.Message) error {
	switch {
	case m.Local != nil:
		outgoing.transport = transportLocal
		return m.Local.Local().Call(ctx, method, req, outgoing.res)
	case m.KitexAddress != "":
		outgoing.transport = transportKitex
		if m.secure(m.KitexAddress) {
			outgoing.transport = transportGRPC
		}
		return m.callKitex(ctx, method, outgoing, req)
	default:
		outgoing.transport = transportConnect
		return m.callConnect(ctx, method, outgoing, req)
	}
}

func (m *member) release(unreachable bool) {
	if unreachable && m.Local == nil {
		m.downTill.Store(m.config.Clock().Add(ejection).UnixNano())
	}
	if m.inFlight.Add(-1) == 0 && m.retired.Load() {
		_ = m.closeConnections()
	}
}

// retire closes the connections once no call is in flight.
func (m *member) retire() error {
	m.retired.Store(true)
	if m.inFlight.Load() == 0 {
		return m.closeConnections()
	}
	return nil
}

func (m *member) closeConnections() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.http != nil {
		m.http.CloseIdleConnections()
	}
	var faults []error
	for _, client := range m.kitex {
		faults = append(faults, client.close())
	}
	m.http, m.connect, m.kitex = nil, nil, nil
	return errors.Join(faults...)
}
