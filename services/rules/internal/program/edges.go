package program

import (
	"slices"
	"strings"

	"github.com/backlot-video/backlot/services/rules/internal/pattern"
)

// askEdges asks for what texts that match a pattern begin and end with, and for
// pieces of them where these say more. It reports whether nothing that is in
// them does.
func (b *Builder) askEdges(p *part, a ask) (all bool) {
	regex := b.code.regexes[p.ref]
	b.askEdge(byPrefix, regex.Heads(), p, a)
	b.askEdge(bySuffix, regex.Tails(), p, a)
	if !tells(regex, regex.Pieces()...) {
		b.askEdge(byFragment, regex.Pieces(), p, a)
	}
	return tells(regex, regex.Literal())
}

func (b *Builder) askEdge(kind facetKind, texts []string, p *part, a ask) {
	least := 1
	if kind == byFragment {
		least = fragmentBytes
	}
	short := func(text string) bool { return len(text) < least }
	if len(texts) == 0 || slices.ContainsFunc(texts, short) {
		return
	}
	key := facetKey{kind: kind, list: -1, slot: p.slot, outcome: -1}
	likely := clampLikely(guesses[opPrefix] * 2 * float64(len(texts)))
	a.likely, a.spares = float32(likely), noPart
	b.add(key, p.derived, a)
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
