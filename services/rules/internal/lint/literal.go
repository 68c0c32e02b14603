package lint

import (
	"fmt"
	"net/netip"
	regexpsyntax "regexp/syntax"
	"strconv"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/backlot-video/backlot/services/rules/fact"
	"github.com/backlot-video/backlot/services/rules/internal/check"
	"github.com/backlot-video/backlot/services/rules/internal/syntax"
	"github.com/backlot-video/backlot/services/rules/list"
)

// constants looks at the constants and fields of a condition.
func (l *linter) constants(n *check.Node) {
	if n.Source != nil {
		l.deprecated(n)
		switch x := n.Source.(type) {
		case *syntax.In:
			if n.Op != check.Not {
				l.repeated(x)
			}
		case *syntax.Binary:
			if n.Op == check.Matches {
				l.pattern(x, n.Regex.String())
			}
		}
	}
	for _, arg := range n.Args {
		l.constants(arg)
	}
}

// isDeprecated reads the options of a field or of a member of an enum.
func isDeprecated(d protoreflect.Descriptor) bool {
	options, ok := d.Options().(interface{ GetDeprecated() bool })
	return ok && options.GetDeprecated()
}

func (l *linter) deprecated(n *check.Node) {
	span := n.Source.ExprSpan()
	if field := n.Leaf(); n.Op == check.Field && field != nil && isDeprecated(field) {
		l.warn(deprecated, span, "", "field '%s' is deprecated", field.Name())
	}
	member := func(enum protoreflect.EnumDescriptor, number int64) {
		if value := enum.Values().ByNumber(protoreflect.EnumNumber(number)); value != nil && isDeprecated(value) {
			l.warn(deprecated, span, "", "'%s' is deprecated", value.Name())
		}
	}
	switch {
	case n.Op == check.Const && n.Type.Kind == fact.Enum:
		member(n.Type.Enum, n.Value.N)
	case n.Op == check.InInts && n.Args[0].Type.Kind == fact.Enum:
		for number := range n.Ints {
			member(n.Args[0].Type.Enum, number)
		}
	}
}

// repeated reports entries of `in` that others cover.
func (l *linter) repeated(x *syntax.In) {
	switch set := x.Set.(type) {
	case *syntax.Array:
		literals := make([]*syntax.Literal, 0, len(set.Elems))
		for _, elem := range set.Elems {
			if literal, ok := elem.(*syntax.Literal); ok {
				literals = append(literals, literal)
			}
		}
		l.covered(literals, list.Exact)
	case *syntax.CIDR:
		l.covered(set.Elems, list.CIDR)
	}
}

// entries reports entries of lists of the source that others cover.
func (l *linter) entries() {
	for _, decl := range l.file.Lists {
		match, _ := list.ParseMatch(decl.MatchName())
		l.covered(decl.Entries, match)
	}
}

// covered reports entries that are there twice or match what another matches.
func (l *linter) covered(entries []*syntax.Literal, match list.Match) {
	first := map[string]*syntax.Literal{}
	networks := map[netip.Prefix]*syntax.Literal{}
	for _, entry := range entries {
		k := fmt.Sprint(entry.Kind, entry.Int, entry.Float, entry.Str)
		if entry.Kind == syntax.AddressLit || entry.Kind == syntax.StringLit {
			k = entry.Str
		}
		if first[k] != nil {
			l.warn(repeatedEntry, entry.Span, "", "%s is there twice", entry.Raw)
			continue
		}
		first[k] = entry
		if match == list.CIDR || match == list.Auto {
			if prefix, err := list.ParsePrefix(entry.Str); err == nil {
				networks[prefix] = entry
			}
		}
	}
	for prefix, entry := range networks {
		for bits := prefix.Bits() - 1; bits >= 0; bits-- {
			if wider, err := prefix.Addr().Prefix(bits); err == nil && networks[wider] != nil {
				l.warn(repeatedEntry, entry.Span, "", "%s lies within %s", entry.Raw, networks[wider].Raw)
				break
			}
		}
	}
	if match != list.Prefix {
		return
	}
	for text, entry := range first {
		for end := range len(text) {
			if shorter := first[text[:end]]; shorter != nil {
				l.warn(repeatedEntry, entry.Span, "", "%s begins with %s", entry.Raw, shorter.Raw)
				break
			}
		}
	}
}

// maxTexts bounds the texts that a pattern may stand for to be called simple.
const maxTexts = 8

// pattern reports a pattern that says no more than a simple test.
func (l *linter) pattern(x *syntax.Binary, pattern string) {
	parsed, err := regexpsyntax.Parse(pattern, regexpsyntax.Perl)
	if err != nil {
		return
	}
	parts := []*regexpsyntax.Regexp{parsed}
	if parsed.Op == regexpsyntax.OpConcat {
		parts = parsed.Sub
	}
	begin := len(parts) > 0 && parts[0].Op == regexpsyntax.OpBeginText
	if begin {
		parts = parts[1:]
	}
	end := len(parts) > 0 && parts[len(parts)-1].Op == regexpsyntax.OpEndText
	if end {
		parts = parts[:len(parts)-1]
	}
	found := []string{""}
	for _, part := range parts {
		if found = product(found, expand(part)); found == nil {
			return
		}
	}
	if simple := simpler(short(x.X), found, begin, end); simple != "" {
		l.inform(simplePattern, x.Y.ExprSpan(), "write "+simple, "no pattern is needed")
	}
}

// simpler is the test that does what a pattern does, or empty.
func simpler(operand string, found []string, begin, end bool) string {
	quoted := make([]string, len(found))
	for i, text := range found {
		quoted[i] = quote(text)
	}
	switch {
	case begin && end && len(found) > 1:
		return operand + " in [" + strings.Join(quoted, ", ") + "]"
	case len(found) > 1 || found[0] == "":
		return ""
	case begin && end:
		return operand + " == " + quoted[0]
	case begin:
		return operand + " starts_with " + quoted[0]
	case end:
		return operand + " ends_with " + quoted[0]
	}
	return operand + " contains " + quoted[0]
}

// quote writes a string as sources do.
func quote(text string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range text {
		switch {
		case r == '"' || r == '\\':
			b.WriteString(`\` + string(r))
		case r < ' ':
			b.WriteString(`\u{` + strconv.FormatInt(int64(r), 16) + `}`)
		default:
			b.WriteRune(r)
		}
	}
	return b.String() + `"`
}

// expand lists the texts that a part of a pattern stands for; nil: too many.
func expand(part *regexpsyntax.Regexp) []string {
	if part.Flags&regexpsyntax.FoldCase != 0 {
		return nil
	}
	switch part.Op {
	case regexpsyntax.OpEmptyMatch:
		return []string{""}
	case regexpsyntax.OpLiteral:
		return []string{string(part.Rune)}
	case regexpsyntax.OpCharClass:
		var texts []string
		for i := 0; i < len(part.Rune); i += 2 {
			for r := part.Rune[i]; r <= part.Rune[i+1]; r++ {
				if texts = append(texts, string(r)); len(texts) > maxTexts {
					return nil
				}
			}
		}
		return texts
	case regexpsyntax.OpCapture:
		return expand(part.Sub[0])
	case regexpsyntax.OpConcat:
		texts := []string{""}
		for _, sub := range part.Sub {
			if texts = product(texts, expand(sub)); texts == nil {
				return nil
			}
		}
		return texts
	case regexpsyntax.OpAlternate:
		var texts []string
		for _, sub := range part.Sub {
			more := expand(sub)
			if more == nil || len(texts)+len(more) > maxTexts {
				return nil
			}
			texts = append(texts, more...)
		}
		return texts
	default:
		return nil
	}
}

// product joins each of a with each of b.
func product(a, b []string) []string {
	if len(a)*len(b) > maxTexts {
		return nil
	}
	var joined []string
	for _, x := range a {
		for _, y := range b {
			joined = append(joined, x+y)
		}
	}
	return joined
}
