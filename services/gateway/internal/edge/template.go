package edge

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Template is a parsed path template: segments that are text, `{name}` for any
// one segment that is not empty, and last `{name...}` for whatever follows,
// also nothing.
type Template struct{ segments []segment }

type segment struct {
	kind segmentKind
	text string // literal, or name of the capture
}

type segmentKind int

const (
	literalSegment segmentKind = iota
	captureSegment
	restSegment
)

// MaxSegments bounds a template.
const MaxSegments = 32

// ParseTemplate reads a template such as /videos/{id}/parts/{rest...}.
func ParseTemplate(text string) (Template, error) {
	if !strings.HasPrefix(text, "/") {
		return Template{}, errors.New("does not begin with /")
	}
	parts := segmentsOf(text)
	if len(parts) > MaxSegments {
		return Template{}, fmt.Errorf("has %d segments, at most %d", len(parts), MaxSegments)
	}
	t := Template{segments: make([]segment, 0, len(parts))}
	seen := map[string]bool{}
	for n, part := range parts {
		one, err := parseSegment(part)
		if err != nil {
			return Template{}, err
		}
		if one.kind != literalSegment {
			if seen[one.text] {
				return Template{}, fmt.Errorf("captures {%s} twice", one.text)
			}
			seen[one.text] = true
		}
		if one.kind == restSegment && n != len(parts)-1 {
			return Template{}, fmt.Errorf("{%s...} is not the last segment", one.text)
		}
		t.segments = append(t.segments, one)
	}
	return t, nil
}

func parseSegment(part string) (segment, error) {
	if !strings.ContainsAny(part, "{}") {
		return segment{literalSegment, part}, nil
	}
	name, open := strings.CutPrefix(part, "{")
	name, closed := strings.CutSuffix(name, "}")
	name, rest := strings.CutSuffix(name, "...")
	if !open || !closed || !isName(name) {
		return segment{}, fmt.Errorf("segment %q is neither text, {name} nor {name...}", part)
	}
	if rest {
		return segment{restSegment, name}, nil
	}
	return segment{captureSegment, name}, nil
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
	for _, one := range t.segments {
		if one.kind != literalSegment {
			names = append(names, one.text)
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

// AppendPath appends the path that the target sees. path is one that the route
// has matched.
func (r *Route) AppendPath(to, path []byte) []byte {
	switch {
	case r.PathRewrite != "":
		return r.appendRewrite(to, path)
	case r.PrefixRewrite == "":
		return append(to, path...)
	case r.Exact || r.Template:
		return append(to, r.PrefixRewrite...)
	}
	to = append(to, r.PrefixRewrite...)
	return append(to, path[min(len(r.Path), len(path)):]...)
}

// Rewrites tells that the target sees another path than the client's.
func (r *Route) Rewrites() bool { return r.PathRewrite != "" || r.PrefixRewrite != "" }

// appendRewrite walks both texts, so that nothing is kept beside the route.
func (r *Route) appendRewrite(to, path []byte) []byte {
	text := r.PathRewrite
	for text != "" {
		before, after, found := strings.Cut(text, "{")
		to = append(to, before...)
		if !found {
			break
		}
		name, rest, _ := strings.Cut(after, "}")
		to = append(to, captured(r.Path, name, path)...)
		text = rest
	}
	return to
}

// captured finds the value of a capture by walking template and path together.
func captured(template, name string, path []byte) []byte {
	template, path = strings.TrimPrefix(template, "/"), path[min(1, len(path)):]
	for template != "" {
		part, rest, _ := strings.Cut(template, "/")
		if inner, capture := strings.CutPrefix(part, "{"); capture {
			if inner, all := strings.CutSuffix(inner, "...}"); all && inner == name {
				return path
			}
			if len(inner) == len(name)+1 && inner[:len(name)] == name {
				value, _, _ := bytes.Cut(path, slash)
				return value
			}
		}
		_, path, _ = bytes.Cut(path, slash)
		template = rest
	}
	return nil
}
