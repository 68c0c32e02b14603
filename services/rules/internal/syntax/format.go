package syntax

import (
	"strconv"
	"strings"
)

// Language chooses the spelling of keywords in printed sources.
type Language int

// The languages of keywords.
const (
	English Language = iota
	Chinese
)

const lineWidth = 100

// Format prints a parsed source in canonical form. Comments are kept: those
// inside an item move to the next line break.
func Format(file *File, language Language) string {
	p := &printer{language: int(language), source: file.Source, comments: file.Comments}
	for i, item := range file.Items {
		start := item.ItemSpan().Start
		p.trailing(start)
		if i > 0 {
			p.blank()
		}
		p.flush(start, 0)
		if p.gap(start) {
			p.blank()
		}
		switch item := item.(type) {
		case *Rule:
			p.rule(item)
		case *List:
			p.list(item)
		case *Test:
			p.test(item)
		}
	}
	p.flush(1<<31-1, 0)
	return strings.Join(p.lines, "\n") + "\n"
}

// Text prints one expression in canonical form on one line.
func Text(x Expr) string { return (&printer{}).expr(x) }

// printer collects lines; comments holds those not yet printed.
type printer struct {
	language int
	source   string
	comments []Comment
	lines    []string
}

func (p *printer) line(indent int, text string) {
	p.lines = append(p.lines, strings.Repeat("  ", indent)+text)
}

// blank ends a paragraph, unless one has just ended or none has begun.
func (p *printer) blank() {
	if n := len(p.lines); n > 0 && p.lines[n-1] != "" {
		p.lines = append(p.lines, "")
	}
}

// gap reports whether an empty line stands before offset in the source.
func (p *printer) gap(offset int32) bool {
	before := p.source[:offset]
	return strings.Count(before[len(strings.TrimRight(before, " \t\r\n")):], "\n") > 1
}

func (p *printer) word(w Word) string { return spelling[w][p.language] }

// trailing appends the comments before offset that end a line to the last one.
func (p *printer) trailing(offset int32) {
	for len(p.comments) > 0 && p.comments[0].Span.Start < offset && p.comments[0].Trailing && len(p.lines) > 0 {
		last := len(p.lines) - 1
		if strings.TrimSpace(p.lines[last]) == "" || commented(p.lines[last]) {
			return
		}
		p.lines[last] += "  " + p.comments[0].Text
		p.comments = p.comments[1:]
	}
}

// flush prints the comments that stand before offset.
func (p *printer) flush(offset int32, indent int) {
	p.trailing(offset)
	for len(p.comments) > 0 && p.comments[0].Span.Start < offset {
		if indent == 0 && p.gap(p.comments[0].Span.Start) {
			p.blank()
		}
		p.line(indent, p.comments[0].Text)
		p.comments = p.comments[1:]
	}
}

// commented reports whether a printed line holds a comment.
func commented(line string) bool {
	lexer, tok := lexer{src: line}, token{kind: tokIdent}
	for tok.kind != tokEnd {
		lexer.next(&tok)
	}
	return len(lexer.comments) > 0 || lexer.fault.Message != ""
}

// pending reports whether a comment stands before offset.
func (p *printer) pending(offset int32) bool {
	return len(p.comments) > 0 && p.comments[0].Span.Start < offset
}

func (p *printer) rule(r *Rule) {
	head := p.word(wordRule) + " " + r.Name.Name
	if r.Title != nil {
		head += " " + r.Title.Raw
	}
	if r.Priority != 0 {
		head += " " + p.word(wordPriority) + " " + strconv.FormatInt(r.Priority, 10)
	}
	head += p.names(wordTags, r.Tags)
	switch r.State {
	case Live:
		head += " " + p.word(wordLive)
	case Shadow:
		head += " " + p.word(wordShadow)
	case Canary:
		head += " " + p.word(wordCanary) + " " + r.Percent + "% " + p.word(wordBy) + " " + p.expr(r.CanaryBy)
	}
	p.line(0, head)
	p.flush(r.When.ExprSpan().Start, 1)
	p.layout(1, p.word(wordWhen)+" ", r.When, "")
	p.flush(r.Span.End, 1)
	tail := p.word(wordThen) + " " + p.action(r.Action)
	if r.HasScore {
		tail += " " + p.word(wordScore) + " " + strconv.FormatInt(r.Score, 10)
	}
	if r.Reason != nil {
		tail += " " + p.word(wordReason) + " " + r.Reason.Name
	}
	p.line(1, tail)
}

// names prints a keyword and the names that follow it, if there are any.
func (p *printer) names(word Word, list []Ident) string {
	if len(list) == 0 {
		return ""
	}
	texts := make([]string, len(list))
	for i, name := range list {
		texts[i] = name.Name
	}
	return " " + p.word(word) + " " + strings.Join(texts, ", ")
}

func (p *printer) action(a Action) string { return p.word(wordAllow + Word(a-Allow)) }

func (p *printer) list(l *List) {
	head := p.word(wordList) + " @" + l.Name.Name
	if l.Match != wordNone {
		head += " " + p.word(l.Match)
	}
	head += " = ["
	texts := make([]string, len(l.Entries))
	for i, entry := range l.Entries {
		texts[i] = entry.Raw
	}
	one := head + strings.Join(texts, ", ") + "]"
	if width(one) <= lineWidth && !p.pending(l.Span.End) {
		p.line(0, one)
		return
	}
	p.line(0, head)
	for i, entry := range l.Entries {
		p.flush(entry.Start, 1)
		p.line(1, texts[i]+",")
	}
	p.flush(l.Span.End, 1)
	p.line(0, "]")
}

func (p *printer) test(t *Test) {
	head := p.word(wordTest) + " " + t.Name.Raw
	p.line(0, head)
	p.flush(t.Given.Start, 1)
	p.layout(1, p.word(wordGiven)+" ", t.Given, "")
	p.flush(t.Span.End, 1)
	tail := p.word(wordExpect) + " " + p.action(t.Expect)
	if t.Score != nil {
		tail += " " + p.word(wordScore) + " " + t.Score.Raw
	}
	p.line(1, tail+p.names(wordBecause, t.Because))
}

// width is the number of columns that text takes.
func width(text string) int {
	n := 0
	for _, r := range text {
		n += RuneWidth(r)
	}
	return n
}

// RuneWidth is the number of columns that a terminal gives to r: 2 for East
// Asian wide characters.
func RuneWidth(r rune) int {
	switch {
	case r < 0x1100:
		return 1
	case r <= 0x115F, r >= 0x2E80 && r <= 0xA4CF, r >= 0xAC00 && r <= 0xD7A3,
		r >= 0xF900 && r <= 0xFAFF, r >= 0xFE30 && r <= 0xFE6F, r >= 0xFF00 && r <= 0xFF60,
		r >= 0xFFE0 && r <= 0xFFE6, r >= 0x1F300 && r <= 0x1F64F, r >= 0x20000 && r <= 0x3FFFD:
		return 2
	}
	return 1
}
