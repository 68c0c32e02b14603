package h1

import (
	"bytes"
	"testing"
)

func TestControlFindsTheFirstWhereverItStands(t *testing.T) {
	for length := range 40 {
		for from := range length + 1 {
			b := bytes.Repeat([]byte{0xff}, length) // the highest bit set is no control character
			if got := control(b, from); got != length {
				t.Fatalf("of %d bytes from %d on: %d, none was expected", length, from, got)
			}
			for at := range length {
				for _, c := range []byte{0, '\t', '\n', 0x1f, 0x7f} {
					b[at] = c
					want := length
					if at >= from {
						want = at
					}
					if got := control(b, from); got != want {
						t.Fatalf("of %d bytes from %d on, %#x at %d: %d, want %d", length, from, c, at, got, want)
					}
				}
				b[at] = ' '
			}
		}
	}
}
