package syntax

import (
	"fmt"
	"strings"
)

// Parse reads a source. The tree has every item that could be read; when
// faults is not empty it must not be compiled.
func Parse(src string) (file *File, faults []Fault) {
	file = &File{Source: src}
	reader := NewReader(src)
	for {
		item := reader.Next()
		if item == nil {
			break
		}
		file.Items = append(file.Items, item)
		switch item := item.(type) {
		case *Rule:
			file.Rules = append(file.Rules, item)
		case *List:
			file.Lists = append(file.Lists, item)
		case *Test:
			file.Tests = append(file.Tests, item)
		}
	}
	file.Comments = reader.parser.lexer.comments
	return file, reader.Faults()
}

// Reader reads a source item by item.
type Reader struct {
	parser parser
	items  int
}

// NewReader returns a reader of a source.
func NewReader(src string) *Reader {
	r := &Reader{parser: parser{lexer: lexer{src: src}, made: &nodes{}}}
	if len(src) > MaxSource {
		r.parser.faults = []Fault{{Message: fmt.Sprintf("the source has %d bytes, the limit is %d", len(src), MaxSource)}}
		return r
	}
	r.parser.next()
	return r
}

// Next returns the next *Rule, *List or *Test, nil at the end. What cannot be
// read is passed over and told by Faults.
func (r *Reader) Next() Item {
	p := &r.parser
	for (p.tok.kind != tokEnd || p.stuck) && len(p.faults) < MaxFaults {
		p.nodes, p.depth, p.deepest = 0, 0, 0
		item := p.item()
		if r.items++; r.items > MaxItems {
			p.fail(p.tok.span, fmt.Sprintf("more than %d rules, lists and tests", MaxItems), "split the ruleset")
		}
		failed := p.stuck
		if failed {
			p.resync()
		}
		if failed {
			continue
		}
		if _, ok := item.(*Rule); !ok {
			p.made.keep()
		}
		return item
	}
	return nil
}

// Patterns are those that fill holes of the rules read since the last Release:
// who compiles them one after the other is quicker.
func (r *Reader) Patterns() []*Fill { return r.parser.patterns }

// Release takes the memory of the rules read since the last list or test back
// for the next ones: nothing of those rules must be used any more.
func (r *Reader) Release() {
	r.parser.made.Reset()
	r.parser.patterns = r.parser.patterns[:0]
}

// Faults are those found so far, at most MaxFaults.
func (r *Reader) Faults() []Fault { return r.parser.faults }

// Lists reads the lists that a source declares, and nothing else of it: rules
// may refer to lists that stand behind them. Faults are left to a Reader.
func Lists(src string) []*List {
	var lists []*List
	for _, at := range declarations(src) {
		p := parser{lexer: lexer{src: src, pos: at}, made: &nodes{}}
		p.next()
		if p.is(wordList) {
			if list := p.list(); !p.stuck {
				lists = append(lists, list)
			}
		}
	}
	return lists
}

// declarations are the places where a line begins like the declaration of a
// list, in order. They are found by the '@' behind: most lines have none.
func declarations(src string) []int {
	var places []int
	for at := 0; ; at++ {
		next := strings.IndexByte(src[at:], '@')
		if next < 0 {
			return places
		}
		at += next
		end := blanksBefore(src, at)
		if end == 0 || src[end-1] == '\n' {
			return declaringLines(src) // the keyword may be on a line before
		}
		for _, word := range spelling[wordList] {
			if !strings.HasSuffix(src[:end], word) {
				continue
			}
			start := end - len(word)
			if line := blanksBefore(src, start); line == 0 || src[line-1] == '\n' {
				places = append(places, start)
			}
		}
	}
}

// blanksBefore is where the blanks before a place begin.
func blanksBefore(src string, at int) int {
	for at > 0 && (src[at-1] == ' ' || src[at-1] == '\t' || src[at-1] == '\r') {
		at--
	}
	return at
}

// declaringLines are the places where a line begins with the keyword of lists.
func declaringLines(src string) []int {
	var places []int
	for at := 0; at < len(src); {
		switch c := src[at]; c {
		case ' ', '\t', '\r', '\n':
			at++
			continue
		}
		for _, word := range spelling[wordList] {
			if strings.HasPrefix(src[at:], word) {
				places = append(places, at)
			}
		}
		next := strings.IndexByte(src[at:], '\n')
		if next < 0 {
			break
		}
		at += next + 1
	}
	return places
}

// Condition reads a condition that stands alone, as a rule that allows.
func Condition(src string) (*Rule, []Fault) {
	if len(src) > MaxSource {
		return nil, NewReader(src).Faults()
	}
	p := parser{lexer: lexer{src: src}, made: &nodes{}}
	p.next()
	rule := &Rule{Name: Ident{Name: "condition"}, Action: Allow, When: p.expr(0)}
	if p.tok.kind != tokEnd {
		help := ""
		if p.tok.word != wordThen {
			help = p.exprHelp()
		}
		p.unexpected("'and', 'or' or the end", help)
	}
	return rule, p.faults
}
