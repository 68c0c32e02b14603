package engine

import (
	"testing"
	"time"

	"github.com/google/uuid"
)

func TestIDsAreUUIDsThatGrow(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 678_900_000, time.UTC)
	made, last := newIDs(func() time.Time { return now }), ""
	for i := range 3 * idsTogether {
		text := made.next()
		id, err := uuid.Parse(text)
		if err != nil || id.String() != text || id.Version() != 7 || id.Variant() != uuid.RFC4122 {
			t.Fatalf("id %d is %q: version %v, %v, %v", i, text, id.Version(), id.Variant(), err)
		}
		if text <= last {
			t.Fatalf("%s comes after %s", text, last)
		}
		if at, _ := id.Time().UnixTime(); at != now.Unix() {
			t.Fatalf("%s is of %v", text, time.Unix(at, 0))
		}
		last = text
	}
}
