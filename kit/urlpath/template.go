package urlpath

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Template is a parsed path template: segments that are text, `{name}` for any
// one segment that is not empty, and last `{name...}` for whatever follows,
// also nothing.
type Template struct{ Segments []Segment }

// Segment is a part of a template between slashes.
type Segment struct {
	Kind Kind
	Text string // literal, or name of the capture
}

// Kind of a segment.
type Kind int

// The kinds.
const (
	Literal Kind = iota
	Capture      // {name}: one segment that is not empty
	Rest         // {name...}: all that follows
)

// MaxSegments bounds a template, MaxCaptures the names in it: xDS counts them
// by one digit.
const (
	MaxSegments = 32
	MaxCaptures = 9
)

// Parse reads a template such as /videos/{id}/parts/{rest...}.
func Parse(text string) (Template, error) {
	if !strings.HasPrefix(text, "/") {
		return Template{}, errors.New("does not begin with /")
	}
	parts := segmentsOf(text)
	if len(parts) > MaxSegments {
		return Template{}, fmt.Errorf("has %d segments, at most %d", len(parts), MaxSegments)
	}
	t := Template{Segments: make([]Segment, 0, len(parts))}
	seen := map[string]bool{}
	for n, part := range parts {
		one, err := parseSegment(part)
		if err != nil {
			return Template{}, err
		}
		if one.Kind != Literal {
			if seen[one.Text] {
				return Template{}, fmt.Errorf("captures {%s} twice", one.Text)
			}
			seen[one.Text] = true
		}
		if one.Kind == Rest && n != len(parts)-1 {
			return Template{}, fmt.Errorf("{%s...} is not the last segment", one.Text)
		}
		t.Segments = append(t.Segments, one)
	}
	if len(seen) > MaxCaptures {
		return Template{}, fmt.Errorf("captures %d names, at most %d", len(seen), MaxCaptures)
	}
	return t, nil
}

func parseSegment(part string) (Segment, error) {
	if !strings.ContainsAny(part, "{}") {
		return Segment{Literal, part}, nil
	}
	name, open := strings.CutPrefix(part, "{")
	name, closed := strings.CutSuffix(name, "}")
	name, rest := strings.CutSuffix(name, "...")
	if !open || !closed || !isName(name) {
		return Segment{}, fmt.Errorf("segment %q is neither text, {name} nor {name...}", part)
	}
	if rest {
		return Segment{Rest, name}, nil
	}
	return Segment{Capture, name}, nil
}

// isName accepts letters, digits and `_`, not beginning with a digit.
func isName(name string) bool {
	for i, c := range name {
		letter := c == '_' || ('a' <= c && c <= 'z') || ('A' <= c && c <= 'Z')
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return name != "" && len(name) <= 32
}

// Captures are the names in a template, in order.
func (t Template) Captures() []string {
	var names []string
	for _, one := range t.Segments {
		if one.Kind != Literal {
			names = append(names, one.Text)
		}
	}
	return names
}

// CheckRewrite tells what is wrong with a rewrite over the template's names:
// text with {name} where a value goes.
func (t Template) CheckRewrite(text string) error {
	if !strings.HasPrefix(text, "/") {
		return errors.New("does not begin with /")
	}
	known := t.Captures()
	var bare strings.Builder // as where every value is empty
	for rest := text; rest != ""; {
		before, after, found := strings.Cut(rest, "{")
		if strings.Contains(before, "}") {
			return errors.New("has } without {")
		}
		bare.WriteString(before)
		if !found {
			break
		}
		name, next, closed := strings.Cut(after, "}")
		if !closed || !slices.Contains(known, name) {
			return fmt.Errorf("{%s} is not captured by the path; it captures %q", name, known)
		}
		rest = next
	}
	for _, segment := range segmentsOf(bare.String()) {
		if segment == "." || segment == ".." {
			return errors.New("must not hold the segments . or .., also not where a value is empty")
		}
	}
	return nil
}

// segmentsOf splits a path that begins with a slash.
func segmentsOf(path string) []string { return strings.Split(path[1:], "/") }

// Regexp is the template as a regular expression (RE2) that matches whole
// paths, with a named group for each capture, in the order of the captures.
func (t Template) Regexp() string {
	var b strings.Builder
	b.WriteByte('^')
	for _, one := range t.Segments {
		b.WriteByte('/')
		switch one.Kind {
		case Literal:
			b.WriteString(regexp.QuoteMeta(one.Text))
		case Capture:
			b.WriteString("(?P<" + one.Text + ">[^/]+)")
		case Rest:
			b.WriteString("(?P<" + one.Text + ">.*)")
		}
	}
	b.WriteByte('$')
	return b.String()
}

// FromRegexp is the inverse of Regexp. Other expressions are refused.
func FromRegexp(expression string) (Template, error) {
	inner, begun := strings.CutPrefix(expression, "^/")
	inner, ended := strings.CutSuffix(inner, "$")
	if !begun || !ended {
		return Template{}, errNotTemplate
	}
	// No literal holds a slash, so the only others are those of [^/].
	parts := strings.Split(strings.ReplaceAll(inner, "[^/]", "[^\x00]"), "/")
	for n, part := range parts {
		name, group := strings.CutPrefix(part, "(?P<")
		switch capture, isCapture := strings.CutSuffix(name, ">[^\x00]+)"); {
		case !group:
			parts[n] = unquote(part)
		case isCapture:
			parts[n] = "{" + capture + "}"
		default:
			parts[n] = "{" + strings.TrimSuffix(name, ">.*)") + "...}"
		}
	}
	t, err := Parse("/" + strings.Join(parts, "/"))
	if err != nil || t.Regexp() != expression {
		return Template{}, errNotTemplate
	}
	return t, nil
}

var errNotTemplate = errors.New("is not the regular expression of a path template")

// unquote undoes regexp.QuoteMeta.
func unquote(text string) string {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] == '\\' && i+1 < len(text) {
			i++
		}
		b.WriteByte(text[i])
	}
	return b.String()
}

// String is the template as it was written.
func (t Template) String() string {
	var b strings.Builder
	for _, one := range t.Segments {
		switch one.Kind {
		case Literal:
			b.WriteString("/" + one.Text)
		case Capture:
			b.WriteString("/{" + one.Text + "}")
		case Rest:
			b.WriteString("/{" + one.Text + "...}")
		}
	}
	return b.String()
}

// Substitution is a rewrite over the template's names as the replacement of
// Regexp: \1 is the first capture. The rewrite is one that CheckRewrite passes.
func (t Template) Substitution(rewrite string) string {
	pairs := []string{`\`, `\\`}
	for n, name := range t.Captures() {
		pairs = append(pairs, "{"+name+"}", `\`+strconv.Itoa(n+1))
	}
	return strings.NewReplacer(pairs...).Replace(rewrite)
}

// FromSubstitution is the inverse of Substitution.
func (t Template) FromSubstitution(text string) (string, error) {
	names := t.Captures()
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' {
			b.WriteByte(text[i])
			continue
		}
		i++
		switch {
		case i < len(text) && text[i] == '\\':
			b.WriteByte('\\')
		case i < len(text) && '1' <= text[i] && int(text[i]-'0') <= len(names):
			b.WriteString("{" + names[text[i]-'1'] + "}")
		default:
			return "", errors.New("refers to a group that there is not")
		}
	}
	return b.String(), nil
}
