package program

import (
	"fmt"
	"net/netip"
)

// axisOf returns the axis of a test's value.
func (b *Builder) axisOf(p *part) *axis {
	key := axisKey{-1, p.test.slot}
	if p.within != nil {
		key.list = p.within.test.slot
	}
	return b.axis(key, p.derived)
}

func (b *Builder) axis(key axisKey, derived int32) *axis {
	a := b.axes[key]
	if a == nil {
		a = &axis{derived: derived, list: key.list, slot: key.slot}
		b.axes[key] = a
		b.index.axes = append(b.index.axes, a)
	}
	return a
}

// push puts a posting at the head of a chain and returns the new head.
func (b *Builder) push(head int32, p posting) int32 {
	p.next = head
	b.index.postings = append(b.index.postings, p)
	return int32(len(b.index.postings) - 1)
}

// file files the rest of a rule under a test.
func (b *Builder) file(p *part, to posting) {
	a, t := b.axisOf(p), &p.test
	switch t.op {
	case opFlag, opIntEq, opIntLt, opIntLe, opIntGt, opIntGe, opIntIn:
		b.fileNumber(a.number(), t.op, t.n, t.m, to)
	case opFloat:
		a.float = true
		b.fileNumber(a.number(), intOps[t.how], floatOrder(t.m), 0, to)
	case opMoney:
		b.fileNumber(a.amount(t.text), intOps[t.how], t.n, 0, to)
	case opTextEq:
		b.fileText(a, t.text, to)
	case opTexts:
		set := &b.index.code.texts[t.ref]
		for _, member := range set.few {
			b.fileText(a, member, to)
		}
		for member := range set.many {
			b.fileText(a, member, to)
		}
	case opInts:
		set := &b.index.code.ints[t.ref]
		for _, member := range set.few {
			b.fileNumber(a.number(), opIntEq, member, 0, to)
		}
		for member := range set.many {
			b.fileNumber(a.number(), opIntEq, member, 0, to)
		}
	case opPrefix:
		b.fileAffix(&a.prefixes, t.text, to)
	case opSuffix:
		b.fileAffix(&a.suffixes, t.text, to)
	case opContains:
		b.fileFragment(a, t.text, to)
	case opMatches:
		b.fileFragment(a, p.literal, to)
	case opPresent:
		a.absent = b.push(a.absent, to)
	case opNets:
		b.fileNets(p, to)
	case opList:
		b.fileMember(a, t, to)
	default:
		panic(fmt.Sprintf("program: opcode %d cannot be filed", t.op)) // cover lists those that can
	}
}

func (a *axis) number() *numbers {
	if a.numbers == nil {
		a.numbers = &numbers{}
	}
	return a.numbers
}

func (a *axis) amount(currency string) *numbers {
	for i := range a.amounts {
		if a.amounts[i].currency == currency {
			return a.amounts[i].numbers
		}
	}
	a.amounts = append(a.amounts, currencyAxis{currency, &numbers{}})
	return a.amounts[len(a.amounts)-1].numbers
}

// fileNumber files under a comparison. A bound that nothing passes files
// nowhere.
func (b *Builder) fileNumber(n *numbers, op opcode, v, m int64, to posting) {
	if op == opFlag || op == opIntEq {
		if n.equal == nil {
			n.equal = map[int64]int32{}
		}
		n.equal[v] = b.push(n.equal[v], to)
		return
	}
	p := part{test: test{op: op, n: v, m: m}}
	low, high, ok := p.bounds()
	switch {
	case !ok:
	case op == opIntGt:
		n.above = append(n.above, bound{v, to})
	case op == opIntLt:
		n.below = append(n.below, bound{v, to})
	default:
		n.between = append(n.between, span{low, high, to})
	}
}

func (b *Builder) fileText(a *axis, text string, to posting) {
	if a.texts == nil {
		a.texts = map[string]int32{}
	}
	a.texts[text] = b.push(a.texts[text], to)
}

func (b *Builder) fileAffix(all *[]affixes, text string, to posting) {
	for i := range *all {
		if of := &(*all)[i]; of.length == len(text) {
			of.heads[text] = b.push(of.heads[text], to)
			return
		}
	}
	*all = append(*all, affixes{len(text), map[string]int32{text: b.push(0, to)}})
}

func (b *Builder) fileFragment(a *axis, text string, to posting) {
	if a.fragments == nil {
		a.fragments = &fragments{}
		b.lengths[a.fragments] = make([]int32, fragmentSlots)
	}
	head := a.fragments.place(text, b.lengths[a.fragments])
	*head = b.push(*head, to)
}

func (b *Builder) fileMember(a *axis, t *test, to posting) {
	for i := range a.members {
		if m := &a.members[i]; m.test.ref == t.ref && m.test.op == t.op {
			m.head = b.push(m.head, to)
			return
		}
	}
	a.members = append(a.members, membership{*t, b.push(0, to)})
}

// fileNets files under the ranges of IP prefixes. Those of IPv6 longer than
// half an address are filed wider than they are; cover knows.
func (b *Builder) fileNets(p *part, to posting) {
	for _, prefix := range b.index.code.nets[p.test.ref].prefixes {
		number := b.netNumber(p, prefix.Addr().Is4())
		slot := int32(b.index.code.derived[number-1].slot)
		numbers := b.axis(axisKey{-1, slot}, number).number()
		low, high := netBounds(prefix)
		b.fileNumber(numbers, opIntIn, low, high, to)
	}
}

// netNumber returns the derived number of an address field.
func (b *Builder) netNumber(p *part, v4 bool) int32 {
	key := fmt.Sprintf("net %d %t", p.test.slot, v4)
	if known, ok := b.parts.derived[key]; ok {
		return known
	}
	return b.parts.derivation(key, deriveNet(int(p.test.n), int(p.test.slot), v4))
}

func netBounds(prefix netip.Prefix) (low, high int64) {
	low = netNumber(prefix.Masked().Addr())
	hosts := 32 - prefix.Bits()
	if prefix.Addr().Is6() {
		hosts = max(64-prefix.Bits(), 0)
	}
	return low, low | int64(uint64(1)<<hosts-1)
}

// exactNets reports whether prefixes are filed as they are.
func exactNets(set *nets) bool {
	for _, prefix := range set.prefixes {
		if prefix.Addr().Is6() && prefix.Bits() > 64 {
			return false
		}
	}
	return true
}
