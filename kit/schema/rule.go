package schema

import (
	"math"
	"slices"
	"time"
	"unicode/utf8"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"buf.build/go/protovalidate"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"
)

// rule tells of a field's value that it plainly holds. Where it does not, the
// value may hold all the same.
type rule interface {
	holds(value protoreflect.Value) bool
}

// ruleOf is the rule of a field that costs protovalidate much, nil where any
// part of it is not known here.
func ruleOf(field protoreflect.FieldDescriptor) rule {
	rules, err := protovalidate.ResolveFieldRules(field)
	if err != nil || rules == nil || field.IsList() && field.Message() != nil { // what is in it has rules of its own
		return nil
	}
	return valueRuleOf(field, rules)
}

// valueRuleOf is the rule of a field's value.
func valueRuleOf(field protoreflect.FieldDescriptor, rules *validate.FieldRules) rule {
	switch {
	case field.IsMap():
		if only(rules, "map") && only(rules.GetMap(), "min_pairs", "max_pairs", "keys", "values") {
			return pairsOf(field, rules.GetMap())
		}
	case field.IsList():
		if only(rules, "repeated") && only(rules.GetRepeated(), "min_items", "max_items", "items") {
			return itemsOf(field, rules.GetRepeated())
		}
	case only(rules, "duration") && only(rules.GetDuration(), "gte", "lte", "gt", "lt"):
		return spanOf(rules.GetDuration())
	case field.Kind() == protoreflect.StringKind:
		if t := textOf(rules); t != nil {
			return t
		}
	case field.Kind() == protoreflect.Uint32Kind:
		if only(rules, "uint32") && only(rules.GetUint32(), "lte") {
			return atMost(rules.GetUint32().GetLte())
		}
	case field.Kind() == protoreflect.EnumKind:
		if only(rules, "enum") && only(rules.GetEnum(), "defined_only", "not_in") {
			return &choice{field.Enum().Values(), rules.GetEnum().GetDefinedOnly(), rules.GetEnum().GetNotIn()}
		}
	}
	return nil
}

// only tells that a message has no other fields than these.
func only(message proto.Message, names ...protoreflect.Name) bool {
	is := len(message.ProtoReflect().GetUnknown()) == 0
	message.ProtoReflect().Range(func(field protoreflect.FieldDescriptor, _ protoreflect.Value) bool {
		known := false
		for _, name := range names {
			known = known || field.Name() == name && !field.IsExtension()
		}
		is = is && known
		return is
	})
	return is
}

// text is a rule of strings: lengths in characters and in bytes, and a pattern.
type text struct {
	least, most           int
	leastBytes, mostBytes int
	pattern               pattern // nil: any
}

// textOf is nil where the rules of an element are not known.
func textOf(rules *validate.FieldRules) *text {
	if !only(rules, "string") || !only(rules.GetString(), "min_len", "max_len", "min_bytes", "max_bytes", "pattern") {
		return nil
	}
	of := rules.GetString()
	t := &text{least: number(of.GetMinLen()), most: math.MaxInt, leastBytes: number(of.GetMinBytes()), mostBytes: math.MaxInt}
	if of.HasMaxLen() {
		t.most = number(of.GetMaxLen())
	}
	if of.HasMaxBytes() {
		t.mostBytes = number(of.GetMaxBytes())
	}
	if of.HasPattern() {
		if t.pattern = patternOf(of.GetPattern()); t.pattern == nil {
			return nil
		}
	}
	return t
}

// number is a bound that is multiplied below.
func number(n uint64) int { return int(min(n, math.MaxInt>>3)) }

func (t *text) holds(value protoreflect.Value) bool { return t.matches(value.String()) }

func (t *text) matches(s string) bool {
	// Bytes are at least as many as characters, and at most four times.
	if len(s) > t.most || len(s) < t.least*utf8.UTFMax {
		if n := utf8.RuneCountInString(s); n > t.most || n < t.least {
			return false
		}
	}
	return len(s) >= t.leastBytes && len(s) <= t.mostBytes && (t.pattern == nil || t.pattern.MatchString(s))
}

// atMost is a rule of numbers.
type atMost uint64

func (a atMost) holds(value protoreflect.Value) bool { return value.Uint() <= uint64(a) }

// choice is a rule of enums.
type choice struct {
	values  protoreflect.EnumValueDescriptors
	defined bool // only those of the schema
	not     []int32
}

func (c *choice) holds(value protoreflect.Value) bool {
	number := value.Enum()
	return (!c.defined || c.values.ByNumber(number) != nil) && !slices.Contains(c.not, int32(number))
}

// items is a rule of lists; of what is in them, for lists of strings.
type items struct {
	least, most int
	item        *text // nil: any
}

func itemsOf(field protoreflect.FieldDescriptor, rules *validate.RepeatedRules) rule {
	i := &items{least: number(rules.GetMinItems()), most: math.MaxInt}
	if rules.HasMaxItems() {
		i.most = number(rules.GetMaxItems())
	}
	if rules.HasItems() {
		if field.Kind() != protoreflect.StringKind {
			return nil
		}
		if i.item = textOf(rules.GetItems()); i.item == nil {
			return nil
		}
	}
	return i
}

func (i *items) holds(value protoreflect.Value) bool {
	list := value.List()
	length := list.Len()
	if length < i.least || length > i.most {
		return false
	}
	if i.item == nil {
		return true
	}
	for n := range length {
		if !i.item.holds(list.Get(n)) {
			return false
		}
	}
	return true
}

// pairs is a rule of maps of strings by strings.
type pairs struct {
	least, most int
	key, value  *text // nil: any
}

func pairsOf(field protoreflect.FieldDescriptor, rules *validate.MapRules) rule {
	if field.MapKey().Kind() != protoreflect.StringKind || field.MapValue().Kind() != protoreflect.StringKind {
		return nil
	}
	p := &pairs{least: number(rules.GetMinPairs()), most: math.MaxInt}
	if rules.HasMaxPairs() {
		p.most = number(rules.GetMaxPairs())
	}
	if rules.HasKeys() {
		if p.key = textOf(rules.GetKeys()); p.key == nil {
			return nil
		}
	}
	if rules.HasValues() {
		if p.value = textOf(rules.GetValues()); p.value == nil {
			return nil
		}
	}
	return p
}

func (p *pairs) holds(value protoreflect.Value) bool {
	all := value.Map()
	hold := all.Len() >= p.least && all.Len() <= p.most
	if !hold || all.Len() == 0 {
		return hold
	}
	all.Range(func(key protoreflect.MapKey, value protoreflect.Value) bool {
		hold = (p.key == nil || p.key.matches(key.String())) && (p.value == nil || p.value.holds(value))
		return hold
	})
	return hold
}

// span is a rule of durations: both bounds hold.
type span struct{ from, to time.Duration }

func spanOf(rules *validate.DurationRules) rule {
	s := span{math.MinInt64, math.MaxInt64}
	if least := rules.GetGte(); least != nil {
		s.from = least.AsDuration()
	} else if least = rules.GetGt(); least != nil {
		s.from = least.AsDuration() + 1
	}
	if most := rules.GetLte(); most != nil {
		s.to = most.AsDuration()
	} else if most = rules.GetLt(); most != nil {
		s.to = most.AsDuration() - 1
	}
	if s.from > s.to {
		return nil // it means what is outside of both
	}
	return s
}

// maxSeconds is far within what a time.Duration can hold.
const maxSeconds = math.MaxInt32

func (s span) holds(value protoreflect.Value) bool {
	d, is := value.Message().Interface().(*durationpb.Duration)
	if !is || !d.IsValid() || d.GetSeconds() > maxSeconds || d.GetSeconds() < -maxSeconds {
		return false
	}
	took := d.AsDuration()
	return took >= s.from && took <= s.to
}
