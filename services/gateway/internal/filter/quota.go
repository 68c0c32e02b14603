package filter

import "time"

// Quota holds limits for all gateways together. The configstore leases each
// gateway slices of their tokens.
type Quota interface {
	// Limit is asked for when a route is compiled. The same name is the same
	// limit at every gateway; another rate or burst than before takes its
	// place. rate is tokens per second, burst what may be taken at once.
	Limit(name string, rate, burst float64) Lease
}

// Lease gives out tokens of one limit. What is given beyond the limit is
// bounded by the slices that were leased and are not used up when the limit
// changes or a gateway goes, and by Share for keys without a slice.
type Lease interface {
	// Take takes a token of the slice of a key. It never waits: where there is
	// no slice it asks for one behind the caller's back. key is valid during the
	// call only.
	Take(key []byte, now time.Time) Grant
	// Share is the part of the limit that this gateway may give out by itself
	// while it has no slice: above 0, at most 1; one of as many as there are
	// gateways.
	Share() float64
}

// Grant is the answer of a Lease.
type Grant struct {
	Kind GrantKind
	Wait time.Duration // of Refused: until it is worth to ask again
}

// GrantKind tells what a Lease answered.
type GrantKind uint8

// The answers.
const (
	// Granted: a token was taken.
	Granted GrantKind = iota
	// Refused: the limit is used up.
	Refused
	// Asked: there is no slice yet; the gateway's own share decides.
	Asked
	// Away: there is no slice, and the configstore does not answer.
	Away
)
