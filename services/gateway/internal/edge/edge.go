// Package edge is what the gateway does, as data: listeners, hosts, routes,
// policies, clusters, secrets and the keys of the edge. It is pure; package
// xds makes it, packages relay, filter and upstream act by it.
//
//	edge.go     Config and its parts
//	route.go    what a route matches and where it leads
//	policy.go   what is done to requests of a route
//	cluster.go  upstream clusters: endpoints, balancing, health, bounds
//	check.go    what must hold before a Config is put in force
//	listener.go what must hold of its listeners
//	match.go    which route a request takes: router.go by host, tree.go by path,
//	            condition.go by header and query
//	template.go the path that the target sees
package edge

import (
	identityv1 "github.com/backlot-video/backlot/proto/gen/backlot/identity/v1"
)

// Config is one whole configuration. It is not changed once made, nor copied.
type Config struct {
	// Release that it was made of.
	Release   string
	Listeners []Listener
	Hosts     []Host
	Clusters  map[string]Cluster
	Secrets   map[string]Secret
	Keys      []*identityv1.VerificationKey

	router router
}

// Empty tells that no route leads anywhere: nobody has made one yet.
func (c *Config) Empty() bool {
	for _, host := range c.Hosts {
		if len(host.Routes) > 0 {
			return false
		}
	}
	return true
}

// Listener is a public address beside the one that the gateway's settings
// name.
type Listener struct {
	Name    string
	Address string // host:port
	TLS     *ListenerTLS
}

// ListenerTLS names secrets.
type ListenerTLS struct {
	Certificates  []string // chosen by SNI; the first is the default
	ClientCA      string   // verifies clients' certificates; empty: none are asked for
	RequireClient bool     // refuse clients without a certificate
	HTTP3         bool     // on the UDP port of the same number too
}

// Secret is a certificate with its key, or authorities, or keys.
type Secret struct {
	CertificatePEM []byte
	KeyPEM         []byte
	AuthorityPEM   []byte // certificates of authorities
	JWKS           []byte // JSON Web Key Set
	// APIKeys are SHA-256 digests of API keys, by the name of who holds them.
	APIKeys map[string][32]byte
}

// Host holds the routes of some domains; the first that matches is taken.
type Host struct {
	// Domains are names, `*.example.com`, or `*`; without port.
	Domains []string
	Routes  []Route
}
