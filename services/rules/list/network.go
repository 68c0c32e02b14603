package list

import (
	"cmp"
	"encoding/binary"
	"net/netip"
	"slices"
)

// network is an IP network as numbers: IPv6, or IPv4 in the low 32 bits of lo.
type network struct {
	hi, lo uint64
	bits   uint8 // of the prefix
	six    bool
}

func networkOf(prefix netip.Prefix) network {
	addr := prefix.Addr()
	if addr.Is4() {
		octets := addr.As4()
		return network{lo: uint64(binary.BigEndian.Uint32(octets[:])), bits: uint8(prefix.Bits())}
	}
	octets := addr.As16()
	return network{
		hi: binary.BigEndian.Uint64(octets[:8]), lo: binary.BigEndian.Uint64(octets[8:]), bits: uint8(prefix.Bits()), six: true,
	}
}

func (n network) prefix() netip.Prefix {
	if !n.six {
		var octets [4]byte
		binary.BigEndian.PutUint32(octets[:], uint32(n.lo))
		return netip.PrefixFrom(netip.AddrFrom4(octets), int(n.bits))
	}
	var octets [16]byte
	binary.BigEndian.PutUint64(octets[:8], n.hi)
	binary.BigEndian.PutUint64(octets[8:], n.lo)
	return netip.PrefixFrom(netip.AddrFrom16(octets), int(n.bits))
}

// networks are the networks among the entries, a multiset: two spellings of
// one network are two entries of a list that matches as Auto.
type networks struct {
	four []uint64 // address << 8 | length, ascending
	six  []six
}

type six struct {
	addr pair
	bits uint8
}

// pair is an IPv6 address.
type pair struct{ hi, lo uint64 }

func (a pair) less(b pair) bool { return a.hi < b.hi || a.hi == b.hi && a.lo < b.lo }

func (n *networks) add(w network) {
	if w.six {
		n.six = append(n.six, six{pair{w.hi, w.lo}, w.bits})
		return
	}
	n.four = append(n.four, w.lo<<8|uint64(w.bits))
}

// sort orders the networks and, for a set, drops repetitions.
func (n *networks) sort(set bool) {
	slices.Sort(n.four)
	slices.SortFunc(n.six, compareSix)
	if set {
		n.four = slices.Compact(n.four)
		n.six = slices.Compact(n.six)
	}
	n.four, n.six = trim(n.four), trim(n.six)
}

func compareSix(a, b six) int {
	return cmp.Or(cmp.Compare(a.addr.hi, b.addr.hi), cmp.Compare(a.addr.lo, b.addr.lo), cmp.Compare(a.bits, b.bits))
}

func (n *networks) len() int { return len(n.four) + len(n.six) }

func (n *networks) size() int64 { return 8*int64(cap(n.four)) + 24*int64(cap(n.six)) }

// has reports whether a network is one of them.
func (n *networks) has(w network) bool {
	if w.six {
		_, found := slices.BinarySearchFunc(n.six, six{pair{w.hi, w.lo}, w.bits}, compareSix)
		return found
	}
	_, found := slices.BinarySearch(n.four, w.lo<<8|uint64(w.bits))
	return found
}

// ranges returns the addresses within the networks, which are in order.
func (n *networks) ranges() ranges {
	r := ranges{four: make([]range4, 0, len(n.four)), six: make([]range6, 0, len(n.six))}
	for _, packed := range n.four {
		low := uint32(packed >> 8)
		high := low | uint32(1<<(32-packed&0xff)-1)
		if last := len(r.four) - 1; last >= 0 && low <= r.four[last].high {
			r.four[last].high = max(r.four[last].high, high)
			continue
		}
		r.four = append(r.four, range4{low, high})
	}
	for _, s := range n.six {
		high := pair{s.addr.hi | ones(64-int(s.bits)), s.addr.lo | ones(128-int(s.bits))}
		if last := len(r.six) - 1; last >= 0 && !r.six[last].high.less(s.addr) {
			if r.six[last].high.less(high) {
				r.six[last].high = high
			}
			continue
		}
		r.six = append(r.six, range6{s.addr, high})
	}
	r.index()
	return r
}

// ones returns so many low bits, from none to all 64.
func ones(n int) uint64 {
	switch {
	case n <= 0:
		return 0
	case n >= 64:
		return ^uint64(0)
	}
	return 1<<n - 1
}
