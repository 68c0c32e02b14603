package pattern

import (
	"slices"
	"testing"
)

func TestHeadsAndTails(t *testing.T) {
	for _, test := range []struct {
		text         string
		heads, tails []string
	}{
		{`^(li|wang)[0-9]*3[0-9]?@`, []string{"li", "wang"}, nil},
		{`[0-9]{2,}@(gmail[.]com|qq[.]com)$`, nil, []string{"@gmail.com", "@qq.com"}},
		{`^[a-z]+4[0-9]+@corp[.]ex[.]cn$`, nil, []string{"@corp.ex.cn"}},
		{`(a|b)c`, nil, nil},
		{`^a?b`, []string{"ab", "b"}, nil},
		{`支付|退款$`, nil, nil},
		{`(支付|退款)$`, nil, []string{"支付", "退款"}},
		{`^(?i)a`, nil, nil},
		{`a*$`, nil, nil},
		{`(a|b|c|d|e|f|g|h|i)$`, nil, nil},
	} {
		p, err := Compile(test.text)
		if err != nil {
			t.Errorf("%s: %v", test.text, err)
			continue
		}
		heads, tails := slices.Sorted(slices.Values(p.Heads())), slices.Sorted(slices.Values(p.Tails()))
		if slices.Sort(test.heads); !slices.Equal(heads, test.heads) {
			t.Errorf("%s: heads %q, want %q", test.text, heads, test.heads)
		}
		if slices.Sort(test.tails); !slices.Equal(tails, test.tails) {
			t.Errorf("%s: tails %q, want %q", test.text, tails, test.tails)
		}
	}
}

func TestPieces(t *testing.T) {
	for _, test := range []struct {
		text   string
		pieces []string
	}{
		{`(anna|kim)[0-9]*3[0-9]?@`, []string{"anna", "kim"}},
		{`(li|wang)[0-9]+`, []string{"li", "wang"}},
		{`(anna|kim)[.]shop`, nil}, // the literal says more
		{`[0-9]3@`, nil},
		{`^(anna|kim)3`, nil}, // those are heads
	} {
		p, err := Compile(test.text)
		if err != nil {
			t.Fatalf("%s: %v", test.text, err)
		}
		if got := slices.Sorted(slices.Values(p.Pieces())); !slices.Equal(got, test.pieces) {
			t.Errorf("%s: pieces %q, want %q", test.text, got, test.pieces)
		}
	}
}
