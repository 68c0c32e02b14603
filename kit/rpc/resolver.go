package rpc

import (
	"maps"
	"strings"
	"sync"
)

// Endpoint is one place where a service is served. The zero value is none.
type Endpoint struct {
	Address      string // of Serve: "host:port" or "unix:/path"
	KitexAddress string // of ServeKitex, in the same forms; empty: unary calls go over Connect
	TLS          bool   // of both addresses, except unix sockets: they are plain
	Zone         string // callers in a zone prefer endpoints in it, and those in none
	Weight       int    // share of the calls beside others; DefaultWeight

	// Local serves unary calls in process, before the addresses.
	Local *Server
}

// DefaultWeight is that of endpoints that say none.
const DefaultWeight = 100

// secure reports whether TLS is spoken at one of the addresses.
func (e Endpoint) secure(address string) bool {
	return e.TLS && !strings.HasPrefix(address, unixPrefix)
}

// Resolver tells where services are. Resolve is called for every call: it
// answers from memory, and its answer is not changed afterwards.
type Resolver interface {
	Resolve(service string) []Endpoint
}

// ResolverFunc is a function that is a Resolver.
type ResolverFunc func(service string) []Endpoint

// Resolve calls f.
func (f ResolverFunc) Resolve(service string) []Endpoint { return f(service) }

// Static returns a Resolver that always gives these answers.
func Static(endpoints map[string][]Endpoint) Resolver {
	endpoints = maps.Clone(endpoints)
	return ResolverFunc(func(service string) []Endpoint { return endpoints[service] })
}

// Fallback returns a Resolver that asks one after the other until one knows
// an endpoint.
func Fallback(first Resolver, then ...Resolver) Resolver {
	return ResolverFunc(func(service string) []Endpoint {
		if endpoints := first.Resolve(service); len(endpoints) > 0 {
			return endpoints
		}
		for _, resolver := range then {
			if endpoints := resolver.Resolve(service); len(endpoints) > 0 {
				return endpoints
			}
		}
		return nil
	})
}

// Locals is a Resolver of the servers of this process. A server in it serves
// unary calls in process, streams at its first address.
type Locals struct {
	mu      sync.RWMutex
	servers map[string]*Server
}

// NewLocals returns one that knows no server.
func NewLocals() *Locals { return &Locals{servers: make(map[string]*Server)} }

// Add makes server the one for the service.
func (l *Locals) Add(service string, server *Server) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.servers[service] = server
}

// Remove forgets the service's server.
func (l *Locals) Remove(service string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.servers, service)
}

// Resolve implements Resolver.
func (l *Locals) Resolve(service string) []Endpoint {
	l.mu.RLock()
	server, found := l.servers[service]
	l.mu.RUnlock()
	if !found {
		return nil
	}
	return []Endpoint{{Local: server, Address: server.Address(), TLS: server.config.TLS != nil}}
}
