package backtest

import (
	"cmp"
	"slices"
)

// Example is an event kept as an example of a change.
type Example struct {
	File   string `json:"file"`
	Number int64  `json:"number"` // line or row, from 1
	Live   Judged `json:"live"`
	Draft  Judged `json:"draft"`
	Event  string `json:"event"` // JSON; of Parquet the fields that rules read
	rank   uint64
}

// Judged is the verdict of one version on an event.
type Judged struct {
	Verdict string   `json:"verdict"`
	Score   int64    `json:"score"`
	Fired   []string `json:"fired,omitempty"`
}

// reservoir keeps the examples with the lowest rank. Since a rank depends on
// the event's place alone, the same are kept however the work is divided.
type reservoir struct{ kept []Example }

// wants reports whether an example of this rank would be kept.
func (r *reservoir) wants(rank uint64, most int) bool {
	return len(r.kept) < most || most > 0 && rank < r.kept[len(r.kept)-1].rank
}

func (r *reservoir) add(e Example, most int) {
	at, _ := slices.BinarySearchFunc(r.kept, e.rank, func(kept Example, rank uint64) int { return cmp.Compare(kept.rank, rank) })
	r.kept = slices.Insert(r.kept, at, e)
	if len(r.kept) > most {
		r.kept = r.kept[:most]
	}
}

// rank orders events at random, by their place.
func rank(seed uint64, input int, number int64) uint64 {
	x := seed ^ uint64(input)<<48 ^ uint64(number)
	for _, prime := range [...]uint64{0xbf58476d1ce4e5b9, 0x94d049bb133111eb} {
		x = (x ^ x>>30 + 0x9e3779b97f4a7c15) * prime
	}
	return x ^ x>>31
}
