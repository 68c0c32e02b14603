package xds

import (
	"log/slog"
	"slices"
	"strconv"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/protobuf/types/known/anypb"
)

// controlPlane identifies the server in responses.
var controlPlane = &corev3.ControlPlane{Identifier: "backlot-configstore"}

// maxNames bounds the resources that a client asks for by name.
const maxNames = 10_000

// client is the state of one ADS stream. It does no I/O: the server hands in
// requests and takes responses out.
type client struct {
	log           *slog.Logger
	metrics       *metrics
	node          string
	nonces        int
	subscriptions map[string]*subscription
}

// subscription is what a client wants of one type and what it has got.
type subscription struct {
	all     bool
	names   []string // sorted; what all is not
	due     bool     // the client asked for what it has not been sent
	version string   // last sent
	nonce   string   // of the last response
}

func newClient(log *slog.Logger, m *metrics) *client {
	return &client{log: log, metrics: m, subscriptions: make(map[string]*subscription)}
}

// request takes a request over. Requests of unknown types are passed over.
func (c *client) request(r *discoveryv3.DiscoveryRequest) {
	if id := r.GetNode().GetId(); id != "" {
		c.node = id
	}
	kind := r.GetTypeUrl()
	if !slices.Contains(order, kind) || len(r.GetResourceNames()) > maxNames {
		c.log.Warn("xds request is passed over", "node", c.node, "type", kind, "names", len(r.GetResourceNames()))
		return
	}
	s, found := c.subscriptions[kind]
	if !found {
		s = &subscription{due: true}
		c.subscriptions[kind] = s
		s.want(r.GetResourceNames(), true)
		return
	}
	if r.GetResponseNonce() != s.nonce {
		return // about an older response: the client answers the newer one too
	}
	if fault := r.GetErrorDetail(); fault != nil {
		// The client keeps what it has. It is not sent the same again: the
		// next response is of the next version.
		c.metrics.rejected.WithLabelValues(short(kind)).Inc()
		c.log.Error("configuration is rejected by a client", "node", c.node, "type", short(kind),
			"version", s.version, "reason", fault.GetMessage())
	}
	if s.want(r.GetResourceNames(), false) {
		s.due = true
	}
}

// want sets the names that the client is interested in and tells whether there
// are new ones among them. No names at all mean all where the client begins.
func (s *subscription) want(names []string, first bool) (more bool) {
	if slices.Contains(names, "*") || (first && len(names) == 0) {
		more, s.all, s.names = !s.all, true, nil
		return more
	}
	if s.all && len(names) == 0 {
		return false
	}
	names = slices.Clone(names)
	slices.Sort(names)
	names = slices.Compact(names)
	for _, name := range names {
		if _, had := slices.BinarySearch(s.names, name); !had && !s.all {
			more = true
		}
	}
	s.all, s.names = false, names
	return more
}

// responses returns what a snapshot has for the client, in order.
func (c *client) responses(snapshot *snapshot) []*discoveryv3.DiscoveryResponse {
	var list []*discoveryv3.DiscoveryResponse
	for _, kind := range order {
		s, found := c.subscriptions[kind]
		group := snapshot.groups[kind]
		if !found || (!s.due && s.version == group.version) {
			continue
		}
		c.nonces++
		s.due, s.version, s.nonce = false, group.version, strconv.Itoa(c.nonces)
		list = append(list, &discoveryv3.DiscoveryResponse{
			VersionInfo: group.version, TypeUrl: kind, Nonce: s.nonce,
			Resources: s.pick(group), ControlPlane: controlPlane,
		})
		c.metrics.responses.WithLabelValues(short(kind)).Inc()
	}
	return list
}

func (s *subscription) pick(g *group) []*anypb.Any {
	picked := make([]*anypb.Any, 0, len(g.resources))
	for _, r := range g.resources {
		if _, named := slices.BinarySearch(s.names, r.name); s.all || named {
			picked = append(picked, r.body)
		}
	}
	return picked
}
