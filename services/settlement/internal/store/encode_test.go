package store

import (
	"strconv"
	"testing"

	"github.com/backlot-video/backlot/kit/money"
	"github.com/backlot-video/backlot/services/settlement/internal/ledger"
)

func FuzzDecodePostings(f *testing.F) {
	for _, seed := range []string{
		"4294967297d499 4294967298c499", "1d1", "", "d5", "1x5", "1d", "1c-5", "9223372036854775808d1", "1d1  2c1", "1d1 2c1 ",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		lines, err := decodePostings(text)
		if err != nil {
			return
		}
		postings := make([]ledger.Posting, len(lines))
		for i, l := range lines {
			postings[i] = ledger.Posting{
				AccountID: strconv.FormatInt(l.number, 10), Side: l.side, Amount: money.Amount{Minor: l.amount, Currency: "USD"},
			}
		}
		number := func(id string) int64 {
			n, err := strconv.ParseInt(id, 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		again, err := decodePostings(string(encodePostings(nil, postings, number)))
		if err != nil || len(again) != len(lines) {
			t.Fatalf("%q reads as %v, then as %v, %v", text, lines, again, err)
		}
		for i := range lines {
			if again[i] != lines[i] {
				t.Fatalf("%q: line %d reads as %v, then as %v", text, i, lines[i], again[i])
			}
		}
	})
}
