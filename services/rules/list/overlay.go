package list

import (
	"fmt"
	"iter"
	"maps"
	"slices"
)

// MaxOverlay is the most entries that may be added to and removed from a list
// by With before it is made anew.
const MaxOverlay = 100_000

// overlay changes a list without touching it.
type overlay struct {
	adds, removes  map[string]struct{} // entries; networks in canonical form
	added, removed table
	addedRanges    ranges
	cut            ranges // of the list's own ranges, those that lost a network
}

func (o *overlay) size() int64 {
	const perKey = 48 // of a map
	n := o.added.size() + o.removed.size() + o.addedRanges.size() + o.cut.size()
	for entry := range o.adds {
		n += int64(len(entry)) + perKey
	}
	for entry := range o.removes {
		n += int64(len(entry)) + perKey
	}
	return n
}

func (o *overlay) hasPrefixOf(s string, h uint64) bool {
	for _, n := range o.added.lengths {
		switch {
		case int(n) < len(s):
			if part := s[:n]; o.added.has(part, Hash(part)) {
				return true
			}
		case int(n) == len(s):
			return o.added.has(s, h)
		}
	}
	return false
}

// With returns a list with some entries more and some less; one that is in
// both is added. Those to remove that are no entries are ignored. The large
// part is shared with l, which stays as it is: it takes time by the number of
// changes, not of entries.
func (l *List) With(add, remove []string) (*List, error) {
	o := &overlay{adds: map[string]struct{}{}, removes: map[string]struct{}{}}
	if l.overlay != nil {
		o.adds, o.removes = maps.Clone(l.overlay.adds), maps.Clone(l.overlay.removes)
	}
	for i, entry := range remove {
		entry, err := l.canonical(entry)
		if err != nil {
			return nil, fmt.Errorf("removed entry %d: %w", i+1, err)
		}
		delete(o.adds, entry)
		if l.inBase(entry) {
			o.removes[entry] = struct{}{}
		}
	}
	for i, entry := range add {
		entry, err := l.canonical(entry)
		if err != nil {
			return nil, fmt.Errorf("added entry %d: %w", i+1, err)
		}
		delete(o.removes, entry)
		if !l.inBase(entry) {
			o.adds[entry] = struct{}{}
		}
	}
	if len(o.adds)+len(o.removes) > MaxOverlay {
		return nil, fmt.Errorf("%w: more than %d changes on top of a list", ErrTooLarge, MaxOverlay)
	}
	out := *l
	out.overlay = o
	if len(o.adds)+len(o.removes) == 0 {
		out.overlay = nil
		return &out, nil
	}
	return &out, o.build(l)
}

// canonical checks an entry and spells networks of a CIDR list one way.
func (l *List) canonical(entry string) (string, error) {
	if err := checkEntry(l.match, entry); err != nil || l.match != CIDR {
		return entry, err
	}
	prefix, err := ParsePrefix(entry)
	return prefix.String(), err
}

// inBase reports whether an entry is in the list under the overlay.
func (l *List) inBase(entry string) bool {
	if l.match != CIDR {
		return l.texts.has(entry, Hash(entry))
	}
	net, ok := parseNetwork(entry)
	return ok && l.nets.has(net)
}

func (o *overlay) build(l *List) error {
	var adds, removes networks
	if l.match != CIDR {
		var lengths [MaxEntry + 1]bool
		o.added, o.removed = tableOf(o.adds), tableOf(o.removes)
		if l.match == Prefix {
			for entry := range o.adds {
				lengths[len(entry)] = true
			}
			return o.added.measure(&lengths)
		}
	}
	if l.match == Exact {
		return nil
	}
	for entry := range o.adds {
		if net, ok := parseNetwork(entry); ok {
			adds.add(net)
		}
	}
	for entry := range o.removes {
		if net, ok := parseNetwork(entry); ok {
			removes.add(net)
		}
	}
	removes.sort(false)
	o.cut = l.ranges.touched(&removes)
	l.nets.left(&o.cut, &removes, &adds)
	adds.sort(false)
	o.addedRanges = adds.ranges()
	return nil
}

func tableOf(entries map[string]struct{}) table {
	var blob []byte
	for _, entry := range slices.Sorted(maps.Keys(entries)) {
		blob = push(blob, entry)
	}
	return newTable(blob, len(entries), nil)
}

// touched returns the ranges that hold a network.
func (r *ranges) touched(nets *networks) ranges {
	var out ranges
	for _, packed := range nets.four {
		at := r.find4(uint32(packed >> 8))
		if last := len(out.four) - 1; at >= 0 && (last < 0 || out.four[last] != r.four[at]) {
			out.four = append(out.four, r.four[at])
		}
	}
	for _, s := range nets.six {
		at := r.find6(s.addr)
		if last := len(out.six) - 1; at >= 0 && (last < 0 || out.six[last] != r.six[at]) {
			out.six = append(out.six, r.six[at])
		}
	}
	out.index()
	return out
}

// left gives to the networks that are within some ranges, but for those
// removed.
func (n *networks) left(within *ranges, removed, to *networks) {
	at := 0
	for _, r := range within.four {
		from, _ := slices.BinarySearch(n.four, uint64(r.low)<<8)
		for _, packed := range n.four[from:] {
			if uint32(packed>>8) > r.high {
				break
			}
			if at < len(removed.four) && removed.four[at] == packed {
				at++
				continue
			}
			to.four = append(to.four, packed)
		}
	}
	at = 0
	for _, r := range within.six {
		from, _ := slices.BinarySearchFunc(n.six, six{addr: r.low}, compareSix)
		for _, s := range n.six[from:] {
			if r.high.less(s.addr) {
				break
			}
			if at < len(removed.six) && removed.six[at] == s {
				at++
				continue
			}
			to.six = append(to.six, s)
		}
	}
}

// All yields the entries, networks of a CIDR list in canonical form.
func (l *List) All() iter.Seq[string] {
	return func(yield func(string) bool) {
		for entry := range l.base() {
			if l.overlay != nil {
				if _, removed := l.overlay.removes[entry]; removed {
					continue
				}
			}
			if !yield(entry) {
				return
			}
		}
		if l.overlay == nil {
			return
		}
		for _, entry := range slices.Sorted(maps.Keys(l.overlay.adds)) {
			if !yield(entry) {
				return
			}
		}
	}
}

// base yields the entries under the overlay.
func (l *List) base() iter.Seq[string] {
	return func(yield func(string) bool) {
		if l.match != CIDR {
			for entry := range l.texts.all() {
				if !yield(string(entry)) {
					return
				}
			}
			return
		}
		for _, packed := range l.nets.four {
			if !yield(network{lo: packed >> 8, bits: uint8(packed)}.prefix().String()) {
				return
			}
		}
		for _, s := range l.nets.six {
			if !yield(network{hi: s.addr.hi, lo: s.addr.lo, bits: s.bits, six: true}.prefix().String()) {
				return
			}
		}
	}
}
