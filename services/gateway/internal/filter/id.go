package filter

import (
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"time"

	"github.com/backlot-video/backlot/services/gateway/internal/exchange"
)

const idLength = len("0190a0b0-c0d0-7e0f-8000-000000000000")

// newID is a UUIDv7 (RFC 9562) of the time and 74 random bits. They come from
// the run time's own generator: unique, but not for secrets.
func newID(arena *exchange.Arena, now time.Time) []byte {
	var raw [16]byte
	binary.BigEndian.PutUint64(raw[:8], uint64(now.UnixMilli())<<16|0x7000|rand.Uint64()&0x0fff)
	binary.BigEndian.PutUint64(raw[8:], 1<<63|rand.Uint64()>>2)
	text := arena.Make(idLength)
	hex.Encode(text[0:8], raw[0:4])
	hex.Encode(text[9:13], raw[4:6])
	hex.Encode(text[14:18], raw[6:8])
	hex.Encode(text[19:23], raw[8:10])
	hex.Encode(text[24:36], raw[10:16])
	text[8], text[13], text[18], text[23] = '-', '-', '-', '-'
	return text
}

// goodID tells whether a caller's id may be kept.
func goodID(id []byte) bool {
	if len(id) < 8 || len(id) > 64 {
		return false
	}
	for _, c := range id {
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}
