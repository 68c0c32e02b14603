// Package edge is what the gateway does, as data: hosts, routes, clusters
// and the keys of the edge. It is pure; package xds makes it and package
// relay acts by it.
//
//	edge.go   Config and its parts
//	check.go  what must hold before a Config is put in force
//	match.go  which route a request takes
package edge

import (
	"time"

	optionsv1 "github.com/backlot-video/backlot/proto/gen/backlot/options/v1"

	identityv1 "github.com/backlot-video/backlot/proto/gen/backlot/identity/v1"
)

// Config is one whole configuration. It is not changed once made.
type Config struct {
	// Release that it was made of.
	Release  string
	Hosts    []Host
	Clusters map[string]Cluster
	Keys     []*identityv1.VerificationKey
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

// Host holds the routes of some domains; the first that matches is taken.
type Host struct {
	// Domains are names, `*.example.com`, or `*`; without port.
	Domains []string
	Routes  []Route
}

// Target says what serves a route.
type Target int

// The targets.
const (
	ToCluster Target = iota
	ToMedia
	ToConsole
)

// Route sends some requests to a target.
type Route struct {
	Name          string
	Path          string // exact path or prefix
	Exact         bool
	Methods       []string // none: every method
	Target        Target
	Cluster       string
	Bucket        string // of ToMedia
	PrefixRewrite string
	Policy        Policy
}

// Policy says who may pass and within which bounds.
type Policy struct {
	Principals  []optionsv1.Principal // none: everybody
	Timeout     time.Duration         // 0: no end
	MaxRequest  int64                 // bytes
	MaxAttempts int
}

// Cluster is where requests go.
type Cluster struct {
	Name           string
	Endpoints      []Endpoint
	ConnectTimeout time.Duration
	MaxRequests    int // in flight; more are refused
	MaxRetries     int // in flight
}

// Endpoint is one upstream: `host:port` or `unix:/path`.
type Endpoint struct {
	Address string
	TLS     bool
}

// Defaults of what the configuration leaves open.
const (
	DefaultTimeout        = 15 * time.Second
	DefaultMaxRequest     = 8 << 20
	DefaultMaxAttempts    = 2
	DefaultConnectTimeout = time.Second
	DefaultMaxRequests    = 4096
	DefaultMaxRetries     = 32
)
