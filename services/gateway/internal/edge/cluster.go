package edge

import "time"

// Balance is how an endpoint is chosen.
type Balance int

// The ways.
const (
	LeastRequest Balance = iota // the less busy of two drawn at random
	RoundRobin
	RingHash
	Random
)

// Upstream is the protocol that endpoints speak.
type Upstream int

// The protocols.
const (
	UpstreamAuto  Upstream = iota // HTTP/2 for gRPC, HTTP/1.1 for the rest
	UpstreamHTTP1                 // HTTP/1.1 always
	UpstreamHTTP2                 // HTTP/2 always, by prior knowledge without TLS
)

// Cluster is where requests go.
type Cluster struct {
	Name           string
	Endpoints      []Endpoint
	ConnectTimeout time.Duration
	Balance        Balance
	Protocol       Upstream
	TLS            *ClusterTLS // of endpoints with TLS; nil: the house's own

	// The circuit breaker's bounds on what is in flight at once.
	MaxConnections int
	MaxPending     int // waiting for a connection
	MaxRequests    int
	MaxRetries     int // and at most RetryBudget of the requests in flight
	RetryBudget    float64

	Errors  *ErrorBreaker
	Outlier *Outlier // nil: nothing is ejected
	Health  *HealthCheck
	Pool    Pool
	// PanicThreshold: with a smaller share of endpoints healthy, all are used;
	// default 0.5.
	PanicThreshold float64
}

// Endpoint is one upstream: `host:port` or `unix:/path`.
type Endpoint struct {
	Address  string
	TLS      bool
	Weight   uint32 // 0: 1
	Zone     string
	Draining bool // finishes what it has, gets nothing new
}

// ClusterTLS of connections to endpoints.
type ClusterTLS struct {
	ServerName  string
	Authority   string // name of a Secret; empty: the system's authorities
	Certificate string // name of a Secret, for mTLS; empty: none
}

// ErrorBreaker opens for a while when too large a share of answers fails, and
// closes by probes.
type ErrorBreaker struct {
	Share    float64       // of failures in a window that opens it
	Window   time.Duration // default 10 s
	Minimum  int           // requests in the window before it judges; default 20
	OpenFor  time.Duration // default 5 s, doubled each time up to 1 min
	Probes   int           // requests let through half open; default 3
	Statuses []int         // that are failures; none: 500 to 599
}

// Outlier ejects endpoints by their answers.
type Outlier struct {
	Consecutive     int           // failures in a row; default 5
	Interval        time.Duration // of judging success rates; default 10 s
	BaseEject       time.Duration // first ejection, growing; default 30 s
	MaxEject        time.Duration // default 5 min
	MaxEjectPercent int           // of endpoints; default 10, at least one
	SuccessRate     float64       // deviations below the mean that eject; 0: not judged
}

// HealthCheck asks endpoints actively.
type HealthCheck struct {
	Path      string // HTTP GET; empty: a TCP connection
	Host      string
	GRPC      bool // grpc.health.v1 instead
	Interval  time.Duration
	Timeout   time.Duration
	Healthy   int // successes in a row
	Unhealthy int // failures in a row
	Statuses  []int
}

// Pool of kept connections.
type Pool struct {
	MaxIdle      int           // per endpoint; default 1,000
	IdleTimeout  time.Duration // default 30 s
	TLSHandshake time.Duration // default 10 s
	MaxUses      int           // requests over one connection; 0: any number
}

// Defaults of what the configuration leaves open.
const (
	DefaultConnectTimeout = time.Second
	DefaultMaxConnections = 1024
	DefaultMaxPending     = 1024
	DefaultMaxRequests    = 4096
	DefaultMaxRetries     = 32
	DefaultRetryBudget    = 0.2
	DefaultMaxIdle        = 1000
	DefaultPoolIdle       = 30 * time.Second
	DefaultTLSHandshake   = 10 * time.Second
)
