package edge

import (
	"bytes"
	"fmt"
	"regexp"
	"sync"

	"github.com/backlot-video/backlot/kit/urlpath"
)

// condition is a compiled HeaderMatch.
type condition struct {
	name   string
	how    conditionKind
	text   string
	regex  *regexp.Regexp // nil where it did not compile: matches nothing
	invert bool
}

type conditionKind int

const (
	present conditionKind = iota
	exactly
	begins
	ends
	matches
)

func conditions(of []HeaderMatch) []condition {
	if len(of) == 0 {
		return nil
	}
	list := make([]condition, len(of))
	for i := range of {
		list[i], _ = of[i].compile()
	}
	return list
}

// compile tells what is wrong with the condition.
func (m *HeaderMatch) compile() (condition, error) {
	c := condition{name: m.Name, invert: m.Invert}
	set := 0
	for _, one := range []struct {
		how  conditionKind
		text string
	}{{exactly, m.Exact}, {begins, m.Prefix}, {ends, m.Suffix}, {matches, m.Regex}} {
		if one.text != "" {
			c.how, c.text = one.how, one.text
			set++
		}
	}
	if m.Present {
		set++
	}
	switch {
	case m.Name == "":
		return c, fmt.Errorf("has no name")
	case set != 1:
		return c, fmt.Errorf("%q: %d of exact, prefix, suffix, regex and present are set, must be one", m.Name, set)
	case c.how != matches:
		return c, nil
	}
	var err error
	if c.regex, err = regexp.Compile(`^(?:` + c.text + `)$`); err != nil {
		return c, fmt.Errorf("%q: regex: %w", m.Name, err)
	}
	return c, nil
}

// holds tells of conditions without regex. As in Envoy, what is missing matches nothing, inverted or not, but for
// presence itself.
func (c *condition) holds(value []byte, found bool) bool {
	if c.how == present {
		return found != c.invert
	}
	return found && c.fits(value) != c.invert
}

// holdsInHeader is holds for values on the heap, which regexp may be given.
func (c *condition) holdsInHeader(value []byte, found bool) bool {
	if c.how == matches {
		return found && (c.regex != nil && c.regex.Match(value)) != c.invert
	}
	return c.holds(value, found)
}

func (c *condition) fits(value []byte) bool {
	n := len(c.text)
	switch c.how {
	case exactly:
		return string(value) == c.text
	case begins:
		return len(value) >= n && string(value[:n]) == c.text
	case ends:
		return len(value) >= n && string(value[len(value)-n:]) == c.text
	default:
		return false
	}
}

// longestParameter bounds the decoded value of a query's parameter that
// conditions look at; a longer one matches nothing.
const longestParameter = 256

// holdsInQuery looks at the first parameter of the name, decoded.
func (c *condition) holdsInQuery(query []byte) bool {
	if c.how == matches {
		// What regexp is given escapes to the heap.
		buffer, _ := parameters.Get().(*[longestParameter]byte)
		defer parameters.Put(buffer)
		value, found, ok := parameter(buffer[:0], query, c.name)
		return ok && found && (c.regex != nil && c.regex.Match(value)) != c.invert
	}
	var buffer [longestParameter]byte
	value, found, ok := parameter(buffer[:0], query, c.name)
	return ok && c.holds(value, found)
}

var parameters = sync.Pool{New: func() any { return new([longestParameter]byte) }}

// parameter finds the first of a name and decodes it into buffer; ok is false
// where it is too long or not well escaped.
func parameter(buffer, query []byte, wanted string) (value []byte, found, ok bool) {
	for len(query) > 0 {
		var pair []byte
		pair, query, _ = bytes.Cut(query, []byte{'&'})
		name, value, _ := bytes.Cut(pair, []byte{'='})
		if decoded, ok := unescape(buffer[:0], name); !ok || string(decoded) != wanted {
			continue
		}
		value, ok = unescape(buffer[:0], value)
		return value, true, ok
	}
	return nil, false, true
}

// unescape decodes percent signs and `+` into to, whose capacity is the bound.
func unescape(to, text []byte) ([]byte, bool) {
	for i := 0; i < len(text); i++ {
		b := text[i]
		if len(to) == cap(to) {
			return nil, false
		}
		switch b {
		case '+':
			b = ' '
		case '%':
			decoded, ok := urlpath.Escaped(text[i:])
			if !ok {
				return nil, false
			}
			b, i = decoded, i+2
		}
		to = append(to, b)
	}
	return to, true
}
