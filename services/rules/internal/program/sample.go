package program

import (
	"math"
	"slices"
	"sort"
	"strings"

	"github.com/backlot-video/backlot/services/rules/fact"
)

// Sample has the values that recent facts had, by field, and those of the
// elements of lists. It is immutable.
type Sample struct {
	facts   int
	columns map[string]*column
	each    map[string]float64 // how many elements a list has, by its path
}

// column has the values of one field in a sample. Only those of its kind are
// filled: numbers ascending, texts ascending with their shares.
type column struct {
	facts   int // how many facts or elements, with those without the field
	present int
	plain   []int64    // numbers without currency
	ranks   *ranks     // of plain
	amounts []valuesOf // by currency, of which there are few
	texts   []string
	heads   *ranks  // of the first bytes of texts
	known   textMap // 1 + index in counts
	counts  []int
}

// valuesOf are the amounts of one currency, ascending.
type valuesOf struct {
	unit   string
	values []int64
	ranks  *ranks
}

// How much is looked at.
const (
	maxSample         = 1024
	maxSampleElements = 16 // of a list of one fact
)

// NewSample takes the values of facts given as wire bytes, which must not change
// while it is in use; those that do not fit the schema are passed over.
func NewSample(schema *fact.Schema, facts [][]byte) *Sample {
	if len(facts) == 0 {
		return nil
	}
	layout := fact.NewLayout(schema)
	slots := layout.Leaves()
	layout.Seal()
	s := &Sample{columns: make(map[string]*column, len(slots)), each: map[string]float64{}}
	columns := make([]*column, 0, len(slots))
	for _, leaf := range slots {
		c := &column{}
		columns, s.columns[leaf.Path] = append(columns, c), c
	}
	var record fact.Record
	for _, data := range facts[:min(len(facts), maxSample)] {
		if layout.Decode(data, &record) != nil {
			continue
		}
		s.facts++
		for i := range slots {
			columns[i].addAll(&slots[i], record.Slots)
		}
	}
	for i, leaf := range slots {
		c := columns[i]
		if list, _, within := strings.Cut(leaf.Path, fact.Elements("", "")); within && s.facts > 0 {
			s.each[list] = float64(c.facts) / float64(s.facts)
		}
		c.sort()
	}
	return s
}

// addAll adds what a fact has of a field.
func (c *column) addAll(leaf *fact.Leaf, slots []fact.Slot) {
	if leaf.List < 0 {
		c.add(leaf.Kind, &slots[leaf.Slot])
		return
	}
	for at, n := slots[leaf.List].First(), 0; at != 0 && n < maxSampleElements; at, n = int(slots[at].N), n+1 {
		c.add(leaf.Kind, &slots[at+1+leaf.Slot])
	}
}

func (c *column) add(kind fact.Kind, s *fact.Slot) {
	c.facts++
	if !s.OK {
		return
	}
	c.present++
	switch kind {
	case fact.String:
		c.addText(s.S)
	case fact.Float:
		c.plain = append(c.plain, floatOrder(s.N))
	case fact.Money:
		at := c.unit(s.S)
		if at < 0 {
			at = len(c.amounts)
			c.amounts = append(c.amounts, valuesOf{unit: s.S})
		}
		c.amounts[at].values = append(c.amounts[at].values, s.N)
	default:
		c.plain = append(c.plain, s.N)
	}
}

// unit is where the amounts of a currency are, -1 where there are none.
func (c *column) unit(currency string) int {
	for at := range c.amounts {
		if sameText(c.amounts[at].unit, currency) {
			return at
		}
	}
	return -1
}

func (c *column) addText(text string) {
	if at := c.known.get(text); at > 0 {
		c.counts[at-1]++
		return
	}
	c.counts, c.texts = append(c.counts, 1), append(c.texts, text)
	c.known.put(text, int32(len(c.counts)))
}

// count is how many have a text.
func (c *column) count(text *endedText) int {
	if at := c.known.of(text); at > 0 {
		return c.counts[at-1]
	}
	return 0
}

func (c *column) sort() {
	slices.Sort(c.plain)
	c.ranks = newRanks(c.plain)
	for i := range c.amounts {
		a := &c.amounts[i]
		slices.Sort(a.values)
		a.ranks = newRanks(a.values)
	}
	slices.Sort(c.texts)
	heads := make([]int64, 0, c.present)
	for _, text := range c.texts {
		word, _ := head(text)
		for range c.counts[c.known.get(text)-1] {
			heads = append(heads, ordered64(word))
		}
	}
	c.heads = newRanks(heads)
}

// likely is the share of the sample that a test lets through, or the guess.
func (c *column) likely(b *parts, t *draft, guess float64) float64 {
	var passed int
	switch t.op {
	case opFlag, opIntEq, opIntNe, opIntLt, opIntLe, opIntGt, opIntGe, opIntIn:
		passed = c.ranks.count(t.op, t.n, t.m)
	case opFloat:
		passed = c.ranks.count(intOps[t.how], floatOrder(t.n), 0)
	case opMoney:
		if at := c.unit(b.texts[t.ref].text); at >= 0 {
			passed = c.amounts[at].ranks.count(intOps[t.how], t.n, 0)
		}
	case opTextEq:
		passed = c.count(&b.texts[t.ref])
	case opTextNe:
		passed = c.present - c.count(&b.texts[t.ref])
	case opPrefix:
		passed = c.wanted(t, c.withPrefix(b.texts[t.ref].text))
	case opPresent:
		passed = c.present
		if !t.want {
			passed = c.facts - c.present
		}
	case opInts:
		for _, v := range b.code.ints[t.ref].few {
			passed += c.ranks.count(opIntEq, v, 0)
		}
		passed = c.wanted(t, passed)
	case opTexts:
		set := &b.sets[t.ref]
		for i := range set.members {
			passed += c.count(&b.members[int(set.first)+i])
		}
		passed = c.wanted(t, passed)
	default:
		return guess * float64(c.present+1) / float64(c.facts+1)
	}
	return (float64(passed) + 0.3) / float64(c.facts+1)
}

// most is the greatest of the numbers without their sign, 0 where nothing is
// known of them.
func (c *column) most() float64 {
	if c == nil {
		return 0
	}
	most := ends(c.plain)
	for _, a := range c.amounts {
		most = max(most, ends(a.values))
	}
	return most
}

// usual are the numbers, but for few, that are the least and the greatest.
// ok is false where nothing is known of them.
func (c *column) usual() (low, high int64, ok bool) {
	if c == nil || len(c.plain) == 0 {
		return 0, 0, false
	}
	few := len(c.plain) / 64
	return c.plain[few], c.plain[len(c.plain)-1-few], true
}

// ends is the greater of the first and the last of ascending numbers, without
// their sign.
func ends(values []int64) float64 {
	if len(values) == 0 {
		return 0
	}
	return max(math.Abs(float64(values[0])), math.Abs(float64(values[len(values)-1])))
}

func (c *column) wanted(t *draft, passed int) int {
	if t.want {
		return passed
	}
	return c.present - passed
}

// withPrefix is how many begin with a prefix.
func (c *column) withPrefix(prefix string) int {
	if len(prefix) > wordBytes {
		return c.withLong(prefix)
	}
	low, missing := head(prefix)
	return c.heads.upTo(ordered64(low|missing)) - c.heads.below(ordered64(low))
}

func (c *column) withLong(prefix string) int {
	passed := 0
	for i := sort.SearchStrings(c.texts, prefix); i < len(c.texts) && strings.HasPrefix(c.texts[i], prefix); i++ {
		passed += c.counts[c.known.get(c.texts[i])-1]
	}
	return passed
}

// head is the first bytes of a text, the first one highest, and a mask of those
// that it does not have.
func head(text string) (word, missing uint64) {
	missing = ^uint64(0)
	for i := range min(len(text), wordBytes) {
		word |= uint64(text[i]) << (56 - 8*i)
		missing >>= 8
	}
	return word, missing
}

// ordered64 maps words to numbers of the same order.
func ordered64(word uint64) int64 { return int64(word ^ sign) }

// floatOrder maps a float's bits to a number of the same order; -0 is 0.
func floatOrder(bits int64) int64 {
	if bits == math.MinInt64 {
		return 0
	}
	if bits < 0 {
		return math.MinInt64 - bits
	}
	return bits
}
