package program

import (
	"slices"
	"strings"

	"github.com/backlot-video/backlot/services/rules/internal/pattern"
)

// askEdges asks for what texts that match a pattern begin and end with, and for
// what stands before a closer, or pieces of them, where these say more. It reports whether nothing that is in
// them does.
func (b *Builder) askEdges(i int32, a ask) (all bool) {
	p := &b.made[i]
	regex := b.code.regexes[p.ref]
	b.askEdge(byPrefix, regex.Heads(), i, a)
	b.askEdge(bySuffix, regex.Tails(), i, a)
	if closer, near, _ := regex.Closer(); len(near) > 0 {
		b.askLikely(facetKey{kind: byCloser, closer: closer}, len(near), i, a)
	} else if !tells(regex, regex.Pieces()...) {
		b.askEdge(byFragment, regex.Pieces(), i, a)
	}
	return tells(regex, regex.Literal())
}

func (b *Builder) askEdge(kind facetKind, texts []string, i int32, a ask) {
	least := 1
	if kind == byFragment {
		least = fragmentBytes
	}
	short := func(text string) bool { return len(text) < least }
	if len(texts) == 0 || slices.ContainsFunc(texts, short) {
		return
	}
	b.askLikely(facetKey{kind: kind}, len(texts), i, a)
}

// askLikely asks for one of several things that say less than the pattern.
func (b *Builder) askLikely(key facetKey, ways int, i int32, a ask) {
	p := &b.made[i]
	key.list, key.slot, key.outcome = -1, p.slot, -1
	a.likely, a.spares = float32(clampLikely(guesses[opPrefix]*2*float64(ways))), noPart
	b.add(key, p.derived(), i, a)
}

// tells reports whether what texts that match a pattern begin or end with holds
// one of some texts anyway.
func tells(regex *pattern.Pattern, texts ...string) bool {
	without := func(edge string) bool {
		return !slices.ContainsFunc(texts, func(text string) bool { return strings.Contains(edge, text) })
	}
	for _, edges := range [...][]string{regex.Heads(), regex.Tails()} {
		if len(edges) > 0 && !slices.ContainsFunc(edges, without) {
			return true
		}
	}
	return false
}
