package syntax

import (
	"strings"
	"testing"
)

func TestPiecesStandWhereTheirTextDoes(t *testing.T) {
	const all = "abcdefghijklmnopqrstuvwxyzabcdefghijk"
	for length := range 30 {
		text := all[:length]
		p := newPiece(text)
		for _, before := range []string{"", "a", "abcdefgh and "} {
			for _, behind := range []string{"", "b", "and more that stands there"} {
				if src := before + text + behind; !p.standsAt(src, len(before)) {
					t.Errorf("%q is not found in %q", text, src)
				}
				for at := range length {
					src := before + text[:at] + "#" + text[at+1:] + behind
					if p.standsAt(src, len(before)) {
						t.Errorf("%q is found in %q", text, src)
					}
				}
				if src := before + text[:max(length-1, 0)]; length > 0 && p.standsAt(src, len(before)) {
					t.Errorf("%q is found in %q", text, src)
				}
			}
		}
	}
	zero, short := newPiece("a\x00"), newPiece("a")
	if zero.standsAt("a"+strings.Repeat("b", 9), 0) || short.standsAt("b\x00", 0) || !short.standsAt("a\x00", 0) {
		t.Error("what a piece does not have counts")
	}
}
