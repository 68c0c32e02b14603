// Package quota keeps a rate limit for many replicas together: a Ledger holds
// a token bucket for each key and leases slices of its tokens, a Client asks
// for slices ahead of need and gives them out one by one, so that what takes a
// token never waits.
//
//	quota.go   Ask, Slice, Answer: what both say to each other
//	ledger.go  Ledger: the buckets
//	fair.go    what each of several replicas may have of a bucket
//	client.go  Client: who asks, and when
//	limit.go   Limit: one limit at one replica
//	slice.go   a key's slices and what is known of its bucket
//	sweep.go   what is given back, and forgotten
//	metrics.go what a Client counts
//
// It does no I/O: callers carry an Ask to the Ledger. Nothing is on disk. A
// slice that is not used within Lifetime is void and its tokens go back.
//
// Of a key with rate R and burst B, n replicas let through within any time T at
// most B + R(T + Lifetime) + 2 max(n, B): the bucket itself; slices leased
// before; and what was let through unasked, at first sight of a key and by what
// was last heard of the bucket, which is charged to it afterwards. A Ledger that starts anew forgives one B more. While
// the Ledger is away a Client says so, and its caller decides.
package quota

import "time"

// Lifetime is how long a slice may be used.
const Lifetime = time.Second

// Ask is what a replica says of one key.
type Ask struct {
	Limit  string  // the same name is the same limit at every replica
	Rate   float64 // tokens per second, above 0
	Burst  float64 // tokens that a full bucket holds, at least 1
	Key    string
	Want   int64   // tokens for the next slice; 0: none
	Demand float64 // tokens per second that it could use
	Spent  int64   // tokens given out without a slice, to be charged
	Unused int64   // tokens of slices that were not used, given back
}

// Slice is the answer to an Ask.
type Slice struct {
	Tokens int64 // at most what was wanted
	// Free is how many more the replica may give out by itself, to be charged
	// with its next Ask; below 1: none yet. It grows by Growth a second, above 0.
	Free, Growth float64
}

// Answer is what a Ledger says.
type Answer struct {
	Slices   []Slice // in the order of the asks
	Replicas int     // that have asked lately
}
