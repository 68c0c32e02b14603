package part

import (
	"crypto/sha256"
	"iter"
	"math"

	rulesv1 "github.com/backlot-video/backlot/proto/gen/backlot/rules/v1"
)

// Parts are cut where the entry before says so, about every targetBytes: where
// a list changes in one place, the other parts stay as they are.
const (
	targetBytes = 256 << 10
	leastBytes  = 64 << 10
)

// Split cuts entries, which hold no line breaks, into parts. The text is valid
// until the next part.
func Split(entries iter.Seq[string]) iter.Seq2[*rulesv1.ListPart, []byte] {
	return func(yield func(*rulesv1.ListPart, []byte) bool) {
		text := make([]byte, 0, MaxBytes)
		count := uint32(0)
		flush := func() bool {
			sum := sha256.Sum256(text)
			more := yield(&rulesv1.ListPart{Sha256: sum[:], Bytes: uint32(len(text)), Entries: count}, text)
			text, count = text[:0], 0
			return more
		}
		for entry := range entries {
			if len(text)+len(entry)+1 > MaxBytes && !flush() {
				return
			}
			text = append(append(text, entry...), '\n')
			count++
			if len(text) >= leastBytes && ends(entry) && !flush() {
				return
			}
		}
		if count > 0 {
			flush()
		}
	}
}

// ends reports whether a part ends after an entry: so often that a part has
// targetBytes on average.
func ends(entry string) bool {
	h := uint64(14695981039346656037) // FNV-1a
	for i := range len(entry) {
		h = (h ^ uint64(entry[i])) * 1099511628211
	}
	h *= 0x9e3779b97f4a7c15
	h ^= h >> 32
	h *= 0x9e3779b97f4a7c15
	return h < math.MaxUint64/targetBytes*uint64(len(entry)+1)
}
