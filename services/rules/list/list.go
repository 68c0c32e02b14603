// Package list holds named lists of strings and IP prefixes for rules. A List
// is immutable; a Registry swaps lists under their names while programs that
// refer to them keep running. Both are safe for concurrent use.
package list

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// ErrEntry is wrapped by the error for an entry that cannot be in a list.
var ErrEntry = errors.New("list: bad entry")

// MaxEntry is the longest entry, in bytes.
const MaxEntry = 1024

// List is a set of strings and IP prefixes.
type List struct {
	exact  map[string]struct{}
	ranges []addrRange // disjoint, ascending
}

type addrRange struct{ low, high netip.Addr }

// New makes a list. An entry that is an IP address or prefix also matches the
// addresses within it, however they are spelled; any entry matches itself.
func New(entries []string) (*List, error) {
	l := &List{exact: make(map[string]struct{}, len(entries))}
	for i, entry := range entries {
		if entry == "" || len(entry) > MaxEntry {
			return nil, fmt.Errorf("%w: entry %d has %d bytes, allowed are 1 to %d", ErrEntry, i+1, len(entry), MaxEntry)
		}
		l.exact[entry] = struct{}{}
		if strings.IndexByte(entry, '.') < 0 && strings.IndexByte(entry, ':') < 0 {
			continue
		}
		if prefix, err := ParsePrefix(entry); err == nil {
			l.ranges = append(l.ranges, rangeOf(prefix))
		}
	}
	l.merge()
	return l, nil
}

// Len is the number of different entries.
func (l *List) Len() int { return len(l.exact) }

// Has reports whether s is an entry or an IP address within one.
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

// HasText reports whether s is an entry as it is spelled.
func (l *List) HasText(s string) bool {
	_, ok := l.exact[s]
	return ok
}

// HasRanges reports whether an entry is an IP address or prefix.
func (l *List) HasRanges() bool { return len(l.ranges) > 0 }

// HasAddr reports whether addr is within an entry.
func (l *List) HasAddr(addr netip.Addr) bool {
	low, high := 0, len(l.ranges)
	for low < high {
		middle := (low + high) / 2
		if l.ranges[middle].high.Compare(addr) < 0 {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return low < len(l.ranges) && l.ranges[low].low.Compare(addr) <= 0
}

// merge sorts the ranges and joins those that overlap.
func (l *List) merge() {
	slices.SortFunc(l.ranges, func(a, b addrRange) int { return a.low.Compare(b.low) })
	merged := l.ranges[:0]
	for _, r := range l.ranges {
		if n := len(merged); n > 0 && r.low.Compare(merged[n-1].high) <= 0 {
			if merged[n-1].high.Compare(r.high) < 0 {
				merged[n-1].high = r.high
			}
			continue
		}
		merged = append(merged, r)
	}
	l.ranges = merged
}

func rangeOf(prefix netip.Prefix) addrRange {
	low := prefix.Masked().Addr()
	bytes := low.AsSlice()
	for bit := prefix.Bits(); bit < len(bytes)*8; bit++ {
		bytes[bit/8] |= 0x80 >> (bit % 8)
	}
	high, _ := netip.AddrFromSlice(bytes)
	return addrRange{low, high}
}

// ParsePrefix reads "10.0.0.0/8", or an address as the prefix of its full
// length. IPv4 written as IPv6 (::ffff:a.b.c.d) counts as IPv4.
func ParsePrefix(s string) (netip.Prefix, error) {
	if strings.IndexByte(s, '/') < 0 {
		addr, ok := ParseAddr(s)
		if !ok {
			return netip.Prefix{}, fmt.Errorf("%w: %q is no IP address", ErrEntry, s)
		}
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	prefix, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%w: %w", ErrEntry, err)
	}
	if addr := prefix.Addr(); addr.Is4In6() && prefix.Bits() >= 96 {
		prefix = netip.PrefixFrom(addr.Unmap(), prefix.Bits()-96)
	}
	return prefix.Masked(), nil
}

// ParseAddr reads an IP address without zone. It does not allocate for IPv4
// and for valid IPv6.
func ParseAddr(s string) (netip.Addr, bool) {
	if len(s) < 2 || len(s) > 45 {
		return netip.Addr{}, false
	}
	if strings.IndexByte(s, ':') >= 0 {
		addr, err := netip.ParseAddr(s)
		if err != nil || addr.Zone() != "" {
			return netip.Addr{}, false
		}
		return addr.Unmap(), true
	}
	return parse4(s)
}

func parse4(s string) (netip.Addr, bool) {
	var octets [4]byte
	part, value, digits := 0, 0, 0
	for i := 0; i <= len(s); i++ {
		if i == len(s) || s[i] == '.' {
			if digits == 0 || part == 4 {
				return netip.Addr{}, false
			}
			octets[part] = byte(value)
			part, value, digits = part+1, 0, 0
			continue
		}
		c := s[i] - '0'
		if c > 9 || digits > 0 && value == 0 {
			return netip.Addr{}, false
		}
		value, digits = value*10+int(c), digits+1
		if value > 255 {
			return netip.Addr{}, false
		}
	}
	if part != 4 {
		return netip.Addr{}, false
	}
	return netip.AddrFrom4(octets), true
}
