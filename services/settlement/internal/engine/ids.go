package engine

import (
	"bufio"
	"crypto/rand"
	"encoding/hex"
	"io"
	"strings"
	"time"

	"github.com/google/uuid"
)

// ids makes UUIDs of version 7, each greater than the one before it. It is for
// one goroutine.
type ids struct {
	clock  func() time.Time
	random *bufio.Reader
	last   uint64          // milliseconds and a counter of 12 bits
	id     uuid.UUID       // the last one
	text   strings.Builder // memory of ids
}

// idsTogether share memory: 1,008 bytes.
const idsTogether = 28

func newIDs(clock func() time.Time) *ids {
	return &ids{clock: clock, random: bufio.NewReaderSize(rand.Reader, 1024)}
}

// after has ids greater than one that another writer made, whose clock may be
// ahead. What is no UUID of version 7 is passed over.
func (g *ids) after(last string) {
	id, err := uuid.Parse(last)
	if err != nil || id.Version() != 7 {
		return
	}
	at := uint64(0)
	for _, b := range id[:6] {
		at = at<<8 | uint64(b)
	}
	g.last = max(g.last, at<<12|uint64(id[6]&0x0f)<<8|uint64(id[7]))
}

// next is a new id.
func (g *ids) next() string {
	now := g.clock()
	// The counter begins with the fraction of the millisecond, as RFC 9562 has it.
	at := uint64(now.UnixMilli())<<12 | uint64(now.Nanosecond()%1_000_000)<<12/1_000_000
	g.last = max(at, g.last+1)
	id := &g.id
	_, _ = io.ReadFull(g.random, id[8:]) // of crypto/rand: it does not fail
	for i := range 6 {
		id[i] = byte(g.last >> (12 + 8*(5-i)))
	}
	id[6] = 0x70 | byte(g.last>>8)&0x0f
	id[7] = byte(g.last)
	id[8] = id[8]&0x3f | 0x80
	return g.format()
}

// format is the id as text, as uuid.UUID.String has it.
func (g *ids) format() string {
	const size = 36
	if g.text.Cap()-g.text.Len() < size {
		g.text = strings.Builder{}
		g.text.Grow(idsTogether * size)
	}
	begin := g.text.Len()
	var digits [2 * len(g.id)]byte
	hex.Encode(digits[:], g.id[:])
	for i, end := range [...]int{8, 12, 16, 20, len(digits)} {
		if i > 0 {
			g.text.WriteByte('-')
		}
		g.text.Write(digits[g.text.Len()-begin-i : end])
	}
	return g.text.String()[begin:]
}
