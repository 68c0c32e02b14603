package tool

import (
	"fmt"
	"slices"
	"strings"
)

// diffContext is how many lines around a change a diff shows.
const diffContext = 3

// edit is a run of lines that both texts have, or that one of them has.
type edit struct {
	kind  byte // ' ', '-' or '+'
	lines []string
}

// unified is the difference of two texts in the form of diff -u; empty when
// there is none.
func unified(name, before, after string) string {
	a, b := slices.Collect(strings.Lines(before)), slices.Collect(strings.Lines(after))
	edits := merge(compareLines(a, b))
	if len(edits) == 0 || len(edits) == 1 && edits[0].kind == ' ' {
		return ""
	}
	var out strings.Builder
	fmt.Fprintf(&out, "--- %s\n+++ %s (formatted)\n", name, name)
	var hunk []string
	atA, atB := 1, 1           // the next line of each text
	startA, startB := atA, atB // of the hunk
	flush := func() {
		lenA, lenB := 0, 0
		for _, line := range hunk {
			lenA, lenB = lenA+btoi(line[0] != '+'), lenB+btoi(line[0] != '-')
		}
		fmt.Fprintf(&out, "@@ -%d,%d +%d,%d @@\n%s", startA, lenA, startB, lenB, strings.Join(hunk, ""))
		hunk = nil
	}
	for i, e := range edits {
		if e.kind != ' ' {
			for _, line := range e.lines {
				hunk = append(hunk, printed(e.kind, line))
			}
			atA, atB = atA+len(e.lines)*btoi(e.kind == '-'), atB+len(e.lines)*btoi(e.kind == '+')
			continue
		}
		head, tail := min(len(e.lines), diffContext), max(0, len(e.lines)-diffContext)
		if i == 0 {
			head = 0
		}
		if i == len(edits)-1 {
			tail = len(e.lines)
		}
		if head < tail { // the hunk ends within, the next one begins
			for _, line := range e.lines[:head] {
				hunk = append(hunk, printed(' ', line))
			}
			if i > 0 {
				flush()
			}
			startA, startB = atA+tail, atB+tail
			head = tail
		} else {
			head = 0
		}
		for _, line := range e.lines[head:] {
			hunk = append(hunk, printed(' ', line))
		}
		atA, atB = atA+len(e.lines), atB+len(e.lines)
	}
	if slices.ContainsFunc(hunk, func(line string) bool { return line[0] != ' ' }) {
		flush()
	}
	return out.String()
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

func printed(kind byte, line string) string {
	if strings.HasSuffix(line, "\n") {
		return string(kind) + line
	}
	return string(kind) + line + "\n\\ No newline at end of file\n"
}

// compareLines finds the edits that turn a into b: what both begin and end
// with is kept, and within, what is left is divided at lines that stand once in
// each, in the longest order that both share.
func compareLines(a, b []string) []edit {
	head := 0
	for head < len(a) && head < len(b) && a[head] == b[head] {
		head++
	}
	tail := 0
	for tail < len(a)-head && tail < len(b)-head && a[len(a)-1-tail] == b[len(b)-1-tail] {
		tail++
	}
	edits := []edit{{' ', a[:head]}}
	midA, midB := a[head:len(a)-tail], b[head:len(b)-tail]
	if anchors := shared(midA, midB); len(anchors) > 0 {
		lastA, lastB := 0, 0
		for _, at := range anchors {
			edits = append(edits, compareLines(midA[lastA:at[0]], midB[lastB:at[1]])...)
			edits = append(edits, edit{' ', midA[at[0] : at[0]+1]})
			lastA, lastB = at[0]+1, at[1]+1
		}
		edits = append(edits, compareLines(midA[lastA:], midB[lastB:])...)
	} else {
		edits = append(edits, edit{'-', midA}, edit{'+', midB})
	}
	return append(edits, edit{' ', a[len(a)-tail:]})
}

// merge joins neighbours of one kind and drops what is empty.
func merge(edits []edit) []edit {
	var merged []edit
	for _, e := range edits {
		last := len(merged) - 1
		switch {
		case len(e.lines) == 0:
		case last >= 0 && merged[last].kind == e.kind:
			merged[last].lines = slices.Concat(merged[last].lines, e.lines)
		default:
			merged = append(merged, e)
		}
	}
	return merged
}

// shared returns the positions of lines that stand once in a and once in b,
// the longest run of them that ascends in both (patience).
func shared(a, b []string) [][2]int {
	type place struct{ countA, countB, a, b int }
	places := map[string]*place{}
	for i, line := range a {
		if places[line] == nil {
			places[line] = &place{}
		}
		places[line].countA++
		places[line].a = i
	}
	for i, line := range b {
		if p := places[line]; p != nil {
			p.countB++
			p.b = i
		}
	}
	var pairs [][2]int // ascending in a
	for i, line := range a {
		if p := places[line]; p.countA == 1 && p.countB == 1 {
			pairs = append(pairs, [2]int{i, p.b})
		}
	}
	var piles []int // the last pair of the best run of each length
	before := make([]int, len(pairs))
	for i, pair := range pairs {
		at, _ := slices.BinarySearchFunc(piles, pair[1], func(pile, want int) int { return pairs[pile][1] - want })
		before[i] = -1
		if at > 0 {
			before[i] = piles[at-1]
		}
		if at == len(piles) {
			piles = append(piles, i)
		} else {
			piles[at] = i
		}
	}
	if len(piles) == 0 {
		return nil
	}
	var run [][2]int
	for i := piles[len(piles)-1]; i >= 0; i = before[i] {
		run = append(run, pairs[i])
	}
	slices.Reverse(run)
	return run
}

// paintDiff colours a diff.
func (std *Stdio) paintDiff(text string) string {
	if !std.Colour {
		return text
	}
	lines := strings.SplitAfter(text, "\n")
	for i, line := range lines {
		colour := map[byte]string{'-': red, '+': green, '@': blue}[(line + " ")[0]]
		if body, ended := strings.CutSuffix(line, "\n"); colour != "" && ended {
			lines[i] = colour + body + plain + "\n"
		}
	}
	return strings.Join(lines, "")
}
