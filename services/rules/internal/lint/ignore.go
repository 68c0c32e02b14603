package lint

import (
	"slices"
	"strings"

	"github.com/backlot-video/backlot/services/rules/internal/syntax"
)

// ignored is a comment that takes findings away: those of its names whose
// begin is within a span.
type ignored struct {
	names  []string
	within syntax.Span
	used   bool
}

// ignore takes away what comments `# lint:ignore name, name reason` name. At
// the end of a line the comment means its line, above an item the item, within
// an item the next line.
func (l *linter) ignore() {
	var all []*ignored
	comments := make([]*syntax.Comment, 0, 4) // beside all
	for i := range l.file.Comments {
		comment := &l.file.Comments[i]
		text, ok := strings.CutPrefix(strings.TrimSpace(strings.TrimPrefix(comment.Text, "#")), "lint:ignore")
		if !ok {
			continue
		}
		names, reason := ignoredNames(text)
		switch unknown := slices.IndexFunc(names, func(name string) bool { return !known(name) }); {
		case len(names) == 0:
			l.warn(badIgnore, comment.Span, "as in # lint:ignore never-true until the new field is sent", "lint:ignore names no finding")
		case unknown >= 0:
			l.warn(badIgnore, comment.Span, syntax.Suggest(names[unknown], checkNames()), "unknown finding '%s'", names[unknown])
		case reason == "":
			l.warn(badIgnore, comment.Span, "as in # lint:ignore "+names[0]+" until the new field is sent", "lint:ignore gives no reason")
		default:
			all = append(all, &ignored{names: names, within: l.meant(comment)})
			comments = append(comments, comment)
		}
	}
	l.findings = slices.DeleteFunc(l.findings, func(f Finding) bool {
		taken := false
		for _, one := range all {
			if slices.Contains(one.names, f.Name) && f.Span.Start >= one.within.Start && f.Span.Start < one.within.End {
				one.used, taken = true, true
			}
		}
		return taken
	})
	for i, one := range all {
		if !one.used {
			l.warn(badIgnore, comments[i].Span, "remove it", "there is no %s to ignore", strings.Join(one.names, " or "))
		}
	}
}

// ignoredNames parts `name, name reason`.
func ignoredNames(text string) (names []string, reason string) {
	for {
		text = strings.TrimLeft(text, " \t")
		end := strings.IndexAny(text, ", \t")
		if end < 0 {
			end = len(text)
		}
		if end > 0 {
			names = append(names, text[:end])
		}
		text = strings.TrimLeft(text[end:], " \t")
		more, comma := strings.CutPrefix(text, ",")
		if !comma {
			return names, text
		}
		text = more
	}
}

func checkNames() []string {
	names := make([]string, len(Checks))
	for i, c := range Checks {
		names[i] = c.Name
	}
	return names
}

func known(name string) bool { return slices.Contains(checkNames(), name) }

// meant is the part of the source that a comment is about.
func (l *linter) meant(comment *syntax.Comment) syntax.Span {
	source, at := l.file.Source, int(comment.Span.Start)
	if comment.Trailing {
		return syntax.Span{Start: int32(strings.LastIndexByte(source[:at], '\n') + 1), End: comment.Span.Start}
	}
	for _, item := range l.file.Items {
		span := item.ItemSpan()
		if comment.Span.Start < span.Start {
			return span
		}
		if comment.Span.Start < span.End {
			break
		}
	}
	// The next line that is no comment.
	rest := source[comment.Span.End:]
	end := len(rest)
	for offset := 0; offset < len(rest); {
		line := rest[offset:]
		if next := strings.IndexByte(line, '\n'); next >= 0 {
			line = line[:next+1]
		}
		offset += len(line)
		if text := strings.TrimSpace(line); text != "" && !strings.HasPrefix(text, "#") {
			end = offset
			break
		}
	}
	return syntax.Span{Start: comment.Span.End, End: comment.Span.End + int32(end)}
}
