package edge

import (
	"time"

	optionsv1 "github.com/backlot-video/backlot/proto/gen/backlot/options/v1"
)

// Policy is what is done to the requests of a route, in this order: CORS, who
// calls (client certificate, API key, JWT, any of several, Backlot's own token),
// who may, rate
// limits, external authorisation, headers; and with the answer compression and
// headers.
type Policy struct {
	Principals  []optionsv1.Principal // of Backlot's own tokens; none: everybody
	Timeout     time.Duration         // whole exchange; 0: no end
	TryTimeout  time.Duration         // one try, until the answer's head; 0: no limit of its own
	IdleTimeout time.Duration         // no byte in either direction; 0: DefaultIdleTimeout
	MaxRequest  int64                 // bytes
	MaxAttempts int                   // tries in all

	Retry      *Retry
	Hedge      *Hedge // nil: none
	Hash       []HashKey
	CORS       *CORS
	JWT        *JWT
	APIKey     *APIKey
	ClientCert *ClientCert
	AnyOf      []Authentication // one is enough; none: nothing is asked
	ExtAuthz   *ExtAuthz
	RateLimits []RateLimit
	Compress   *Compression

	RequestHeaders  HeaderEdits
	ResponseHeaders HeaderEdits
	NoAccessLog     bool
}

// Retry says which failures are tried again. What reached nobody (no
// connection) always may be.
type Retry struct {
	Statuses      []int // of the upstream's answers
	Reset         bool  // the connection broke before the answer's head
	NonIdempotent bool  // POST, PATCH and the like as well
	// BackoffMin and BackoffMax bound the wait, drawn at random up to a bound
	// that doubles; 0: 25 ms and 250 ms.
	BackoffMin, BackoffMax time.Duration
	// MaxBody is how much of a body is held for another try; 0: 64 KiB.
	MaxBody int64
}

// Hedge sends a second copy where the first has no answer in time. Only for
// requests that may be repeated.
type Hedge struct {
	After time.Duration
	Max   int // copies beyond the first
}

// HashKey is a part of what ring hash and sticky splits go by; the first that
// a request has is taken. One of the members is set.
type HashKey struct {
	Header   string
	Cookie   string
	SourceIP bool
	Subject  bool // who calls
}

// CORS answers preflights and marks answers.
type CORS struct {
	Origins       []string // exact, `https://*.example.com`, or `*`
	Methods       []string
	Headers       []string
	ExposeHeaders []string
	Credentials   bool // never with origin `*`
	MaxAge        time.Duration
}

// Authentication is one way to say who calls: one member is set.
type Authentication struct {
	JWT        *JWT
	APIKey     *APIKey
	ClientCert *ClientCert
}

// JWT verifies bearer tokens of other issuers.
type JWT struct {
	Secret    string // name of a Secret with a JWKS
	Issuer    string
	Audiences []string // one of them; none: not looked at
	Optional  bool     // a request without a token passes
	// Forward are claims that the upstream gets, as claim -> header name.
	Forward map[string]string
	Leeway  time.Duration
}

// APIKey looks a key up by its digest.
type APIKey struct {
	Secret   string // name of a Secret with APIKeys
	Header   string // default X-API-Key
	Query    string // parameter; empty: not looked at
	Optional bool
}

// ClientCert asks for a verified certificate.
type ClientCert struct {
	// Names are those allowed, of the subject's common name or of a DNS, URI or
	// e-mail name, `*.` allowed in front; none: every verified one.
	Names []string
}

// ExtAuthz asks another service, by Envoy's ext_authz v3 over gRPC.
type ExtAuthz struct {
	Cluster   string
	Timeout   time.Duration // default 1 s
	AllowDown bool          // let pass where the service does not answer
	// Context is given to the service with each request.
	Context map[string]string
	// MaxBody is how much of the body it is given; 0: none.
	MaxBody int
	// Headers are those of the request that it is given; none: all.
	Headers []string
}

// RateLimit is a token bucket for each key.
type RateLimit struct {
	Name string
	Key  []HashKey // all of them together; none: one bucket for the route
	// Rate is tokens per second, Burst the bucket's size.
	Rate  float64
	Burst float64
	// Global takes tokens from slices that the configstore leases to each
	// gateway, so that the rate holds for all of them together.
	Global bool
	// Strict refuses, where Global is set, while the configstore is away;
	// else this gateway gives out its share of the rate meanwhile.
	Strict bool
	// MaxKeys bounds the buckets kept; default 100,000, the oldest are dropped.
	MaxKeys int
}

// Compression of text answers by gzip, br or zstd, as the client accepts.
type Compression struct {
	MinLength    int64    // default 1 KiB
	ContentTypes []string // default: text and the common textual ones
}

// HeaderEdits are made in this order: remove, set, add. Values may hold
// %REQ(name)%, %CLIENT_IP%, %REQUEST_ID%, %SUBJECT%, %ROUTE%, %PROTOCOL%.
type HeaderEdits struct {
	Remove []string
	Set    []HeaderValue
	Add    []HeaderValue
}

// HeaderValue is a line of a header.
type HeaderValue struct{ Name, Value string }

// Defaults of what the configuration leaves open.
const (
	DefaultTimeout     = 15 * time.Second
	DefaultIdleTimeout = 5 * time.Minute
	DefaultMaxRequest  = 8 << 20
	DefaultMaxAttempts = 2
)
