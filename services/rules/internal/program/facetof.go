package program

import (
	"net/netip"

	"github.com/backlot-video/backlot/services/rules/internal/check"
)

// facetOf tells which facet a test asks.
func (b *Builder) facetOf(p *part) (key facetKey, derived int32, ok bool) {
	t := &p.draft
	key = facetKey{list: -1, slot: t.slot, outcome: -1}
	switch t.op {
	case opFlag, opIntEq, opIntLt, opIntLe, opIntGt, opIntGe, opIntIn:
		return key, p.derived(), true
	case opInts:
		return key, p.derived(), t.want
	case opFloat:
		return key, p.derived(), check.Op(t.how) != check.Ne
	case opMoney:
		key.currency = b.texts[t.ref].text
		return key, p.derived(), check.Op(t.how) != check.Ne
	case opTextEq:
		key.kind = byText
		return key, p.derived(), true
	case opTexts:
		key.kind = byText
		return key, p.derived(), t.want
	case opPrefix:
		key.kind = byPrefix
		return key, p.derived(), t.want && t.ref != 0
	case opSuffix:
		key.kind = bySuffix
		return key, p.derived(), t.want && t.ref != 0
	case opContains:
		key.kind = byFragment
		return key, p.derived(), t.want && len(b.texts[t.ref].text) >= fragmentBytes
	case opMatches:
		key.kind = byFragment
		return key, p.derived(), t.want && len(b.code.regexes[t.ref].Literal()) >= fragmentBytes
	case opPresent:
		key.kind = byOutcome
		return key, p.derived(), !t.want && t.depth == 0
	case opNets:
		return b.netFacet(p)
	default:
		return key, 0, false
	}
}

// netFacet is the facet of addresses of one family, as numbers.
func (b *Builder) netFacet(p *part) (key facetKey, derived int32, ok bool) {
	t := &p.draft
	prefixes := b.prefixes[t.ref]
	v4 := prefixes[0].Addr().Is4()
	for _, prefix := range prefixes {
		ok = prefix.Addr().Is4() == v4
		if !ok {
			break
		}
	}
	if !ok || !t.want || t.n == 0 || t.depth > 0 {
		return key, 0, false
	}
	derived = b.parts.netNumber(int(t.n), int(t.slot), v4)
	return facetKey{list: -1, slot: int32(b.code.derived[derived-1].slot), outcome: -1}, derived, true
}

// spans are the numbers that a test asks for.
func (b *Builder) spans(all []span, a *ask, position int32) []span {
	switch a.op {
	case opInts:
		set := &b.code.ints[a.ref]
		for _, v := range set.few {
			all = append(all, span{v, v, position})
		}
		for v := range set.many {
			all = append(all, span{v, v, position})
		}
		return all
	case opNets:
		for _, prefix := range b.prefixes[a.ref] {
			low, high := netBounds(prefix)
			all = append(all, span{low, high, position})
		}
		return all
	default:
	}
	if a.low > a.high {
		return all // nothing passes
	}
	return append(all, span{a.low, a.high, position})
}

func netBounds(prefix netip.Prefix) (low, high int64) {
	low = netNumber(prefix.Masked().Addr())
	hosts := 32 - prefix.Bits()
	if prefix.Addr().Is6() {
		hosts = max(64-prefix.Bits(), 0)
	}
	return low, low | int64(uint64(1)<<hosts-1)
}
