// Package list holds named lists of strings, prefixes of strings and IP
// networks for rules. A List is immutable and compact: its entries lie in one
// block of bytes under a hash table without pointers, its networks in sorted
// arrays, so that millions of entries cost the collector nothing. A Registry
// swaps lists under their names while programs that refer to them keep running.
//
//	list.go     List and its questions
//	builder.go  Builder makes a list of a stream of entries
//	read.go     reads and writes lists as text
//	table.go    the hash table of entries
//	overlay.go  a few entries added to and removed from a large list
//	network.go  IP networks as entries
//	ranges.go   the addresses within them
//	address.go  parses addresses and networks
//	registry.go names
//
// Answers are exact. Everything is safe for concurrent use but a Builder.
package list

import (
	"errors"
	"fmt"
	"hash/maphash"
	"net/netip"
)

// Errors of lists.
var (
	ErrEntry    = errors.New("list: bad entry")
	ErrTooLarge = errors.New("list: too large")
)

// MaxEntry is the longest entry, in bytes.
const MaxEntry = 1024

// Match says how entries match values.
type Match uint8

const (
	// Auto is Exact, and entries that are IP addresses or networks also match
	// the addresses within, however they are spelled.
	Auto Match = iota
	// Exact entries match themselves.
	Exact
	// Prefix entries match all values that begin with them.
	Prefix
	// CIDR entries are IP addresses or networks and match the addresses within.
	CIDR
)

var matchNames = [...]string{"auto", "exact", "prefix", "cidr"}

// String returns "auto", "exact", "prefix" or "cidr".
func (m Match) String() string {
	if int(m) >= len(matchNames) {
		return "unknown"
	}
	return matchNames[m]
}

// ParseMatch reads what String returns; empty is Auto.
func ParseMatch(s string) (Match, error) {
	for i, name := range matchNames {
		if s == name || s == "" {
			return Match(i), nil
		}
	}
	return Auto, fmt.Errorf("list: match %q: must be auto, exact, prefix or cidr", s)
}

// List is a set of strings, prefixes or IP networks.
type List struct {
	match   Match
	texts   table
	ranges  ranges
	nets    networks
	overlay *overlay // nil in most
}

// New makes a list that matches as Auto.
func New(entries []string) (*List, error) { return Make(Config{}, entries) }

// Make makes a list. Its errors name the entry.
func Make(config Config, entries []string) (*List, error) {
	b := NewBuilder(config)
	size := 0
	for _, entry := range entries {
		size += len(entry) + 1
	}
	b.Grow(len(entries), size)
	for i, entry := range entries {
		if err := b.AddString(entry); err != nil {
			return nil, fmt.Errorf("entry %d: %w", i+1, err)
		}
	}
	return b.Build()
}

var seed = maphash.MakeSeed()

// Hash is the hash of a value for HasTextHash: the same for all lists of the
// process, different in each process, so that values cannot be chosen to collide.
func Hash(s string) uint64 { return maphash.String(seed, s) }

// Match tells how the entries match.
func (l *List) Match() Match { return l.match }

// Len is the number of different entries.
func (l *List) Len() int {
	n := l.texts.count
	if l.match == CIDR {
		n = l.nets.len()
	}
	if l.overlay != nil {
		n += len(l.overlay.adds) - len(l.overlay.removes)
	}
	return n
}

// Bytes is the memory that the list takes.
func (l *List) Bytes() int64 {
	n := l.texts.size() + l.ranges.size() + l.nets.size()
	if l.overlay != nil {
		n += l.overlay.size()
	}
	return n
}

// Has reports whether s is matched by an entry.
func (l *List) Has(s string) bool {
	if l.HasText(s) {
		return true
	}
	if !l.HasRanges() {
		return false
	}
	addr, ok := ParseAddr(s)
	return ok && l.HasAddr(addr)
}

// HasText reports whether s is matched as it is spelled.
func (l *List) HasText(s string) bool {
	if l.match != Prefix && l.overlay == nil { // most lists
		return l.texts.has(s, Hash(s))
	}
	return l.HasTextHash(s, Hash(s))
}

// HasTextHash is HasText for callers that ask several lists about one value;
// h is Hash(s).
func (l *List) HasTextHash(s string, h uint64) bool {
	if l.match != Prefix {
		return l.hasEntry(s, h)
	}
	for _, n := range l.texts.lengths {
		switch {
		case int(n) < len(s):
			if part := s[:n]; l.hasEntry(part, Hash(part)) {
				return true
			}
		case int(n) == len(s):
			return l.hasEntry(s, h) || l.overlay != nil && l.overlay.hasPrefixOf(s, h)
		}
	}
	return l.overlay != nil && l.overlay.hasPrefixOf(s, h)
}

// hasEntry reports whether s is itself an entry of the list.
func (l *List) hasEntry(s string, h uint64) bool {
	if l.overlay == nil {
		return l.texts.has(s, h)
	}
	if l.texts.has(s, h) {
		return !l.overlay.removed.has(s, h)
	}
	return l.overlay.added.has(s, h)
}

// HasRanges reports whether an entry is an IP address or network.
func (l *List) HasRanges() bool {
	return !l.ranges.empty() || l.overlay != nil && !l.overlay.addedRanges.empty()
}

// HasAddr reports whether addr is within an entry.
func (l *List) HasAddr(addr netip.Addr) bool {
	if l.overlay == nil {
		return l.ranges.has(addr)
	}
	return l.overlay.addedRanges.has(addr) || l.ranges.has(addr) && !l.overlay.cut.has(addr)
}
