package pattern

import (
	"slices"
	"testing"
)

func TestClosers(t *testing.T) {
	for _, test := range []struct {
		text string
		c    byte // 0: none
		near []Near
	}{
		{`(anna|kim)[0-9]*3[0-9]?@`, '@', []Near{{1, '3'}, {2, '3'}}},
		{`[0-9]3@`, '@', []Near{{1, '3'}}},
		{`([ab]@)+`, '@', nil}, // many bytes may stand before it
		{`[0-9]?@`, 0, nil},    // which is all of a match
		{`[^a]b@`, 0, nil},     // it is elsewhere, too
		{`(a|b)[cd]@`, '@', []Near{{2, 'a'}, {2, 'b'}}},
		{`(a|b)[c中]@`, '@', nil}, // of one byte or three
		{`(a|中)@`, '@', []Near{{1, 'a'}, {1, 0xad}}},
		{`(a|b)[cd]?@`, '@', []Near{{1, 'a'}, {1, 'b'}, {2, 'a'}, {2, 'b'}}},
		{`a[0-9]*@`, 0, nil},    // its begin is looked for
		{`[0-9]promo@`, 0, nil}, // its text is
		{`^[0-9]3@`, 0, nil},
		{`[0-9](@|;)`, 0, nil},
		{`[0-9]é`, 0, nil},
	} {
		p, err := Compile(test.text)
		if err != nil {
			t.Fatalf("%s: %v", test.text, err)
		}
		c, near, ok := p.Closer()
		if c != test.c || ok != (test.c != 0) {
			t.Errorf("%s: closed by %q, %v, want %q", test.text, c, ok, test.c)
		}
		order := func(a, b Near) int { return 256*(a.Before-b.Before) + int(a.Char) - int(b.Char) }
		if slices.SortFunc(near, order); !slices.Equal(near, test.near) {
			t.Errorf("%s: near it %v, want %v", test.text, near, test.near)
		}
	}
}
