package store

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"github.com/backlot-video/backlot/kit/money"
	"github.com/backlot-video/backlot/services/settlement/internal/ledger"
	settlementdb "github.com/backlot-video/backlot/sql/gen/settlement"
)

const (
	// blockFormat opens what a block holds.
	blockFormat = 1
	// maxBlock is how many transfers a block holds: who reads one reads all of
	// them.
	maxBlock = 256
	// leastPacked is the least that a transfer takes: its place, id, five texts,
	// hash, and the number of its postings.
	leastPacked = 1 + idSize + 5 + hashSize + 1

	idSize, hashSize = 16, 32
)

var errBlock = errors.New("a stored block does not read")

// block is transfers of a batch that are stored as one row.
type block struct {
	sequence  int64  // of the last
	lastID    string // the same one's
	transfers []byte
}

// stored is a transfer whose postings have no accounts yet, and their lines.
type stored struct {
	ledger.Transfer
	lines []line
}

// packs tells whether a transfer of a batch goes into a block, after another
// one: it was posted when it was booked, alone, and can be found by its id.
func (w *written) packs(t *ledger.Transfer, lastID string) bool {
	return t.State == ledger.Posted && !t.Pended && t.ChainID == "" && t.ExpiresAt.IsZero() &&
		t.CreatedAt.Equal(w.at) && t.EndedAt.Equal(w.at) && t.ID > lastID && isID(t.ID)
}

// divide tells apart what packs of a batch, and makes texts of the others' postings.
func (w *written) divide(number func(accountID string) int64) {
	w.packed, w.places = make([]*ledger.Transfer, 0, len(w.Added)), make([]int64, len(w.Added))
	lastID := ""
	for i, t := range w.Added {
		if !w.packs(t, lastID) {
			w.rows = append(w.rows, t)
			continue
		}
		lastID, w.places[i], w.packed = t.ID, t.Sequence, append(w.packed, t)
		if t.Reference != "" {
			w.referenced = append(w.referenced, t)
		}
	}
	w.postings = encodeAll(w.rows, number)
}

// pack makes blocks of what packs. The numbers of accounts are those of its moves,
// which are there for each posting, in order.
func (w *written) pack(base int64) {
	moves := w.Moves
	w.blocks = nil
	for all := range slices.Chunk(w.packed, maxBlock) {
		buf, last := append(make([]byte, 0, len(all)*(leastPacked+64)), blockFormat), &ledger.Transfer{}
		for _, t := range all {
			for moves[0].Sequence != t.Sequence {
				moves = moves[1:]
			}
			buf, last = appendPacked(buf, t, last, base, moves), t
		}
		w.blocks = append(w.blocks, block{last.Sequence, last.ID, buf})
	}
}

// appendPacked appends a transfer to those before it, of which before is the last,
// or nothing: its place after the last one's, its id, texts, hash and postings,
// whose moves come first in moves. Numbers are varints, accounts are counted from
// base. A text has its length and one more first; 0 stands for that of the last one.
func appendPacked(buf []byte, t, before *ledger.Transfer, base int64, moves []ledger.Move) []byte {
	buf = binary.AppendUvarint(buf, uint64(t.Sequence-before.Sequence))
	buf = appendID(buf, t.ID)
	buf = packText(buf, string(t.Type), string(before.Type))
	buf = packText(buf, t.Reference, before.Reference)
	buf = packText(buf, t.XID, before.XID)
	buf = packText(buf, t.IdempotencyKey, before.IdempotencyKey)
	buf = packText(buf, t.SplitPolicy, before.SplitPolicy)
	buf = append(buf, t.Hash[:]...)
	buf = binary.AppendUvarint(buf, uint64(len(t.Postings)))
	for i := range t.Postings {
		p := &t.Postings[i]
		amount := uint64(p.Amount.Minor) << 1
		if p.Side == ledger.Credit {
			amount |= 1
		}
		buf = binary.AppendUvarint(buf, uint64(moves[i].Account-base))
		buf = binary.AppendUvarint(buf, amount)
	}
	return buf
}

func packText(buf []byte, text, before string) []byte {
	if text == before {
		return append(buf, 0)
	}
	return append(binary.AppendUvarint(buf, uint64(len(text))+1), text...)
}

// unpack reads what a block holds, in the order of the chain.
func unpack(row settlementdb.BlocksAfterRow) ([]stored, error) {
	all := make([]stored, 0, min(maxBlock, len(row.Transfers)/leastPacked))
	err := unpackEach(row, func(one *stored) error {
		all = append(all, *one)
		one.lines, one.Postings = nil, nil // the next one is to have its own
		return nil
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

// unpackEach has fn look at what a block holds, in the order of the chain. The
// next transfer takes the memory of the last one. What is wrong with a block may
// come out after fn has seen some of it.
func unpackEach(row settlementdb.BlocksAfterRow, fn func(*stored) error) error {
	if len(row.Transfers) == 0 || row.Transfers[0] != blockFormat {
		return fmt.Errorf("%w: it is of another format", errBlock)
	}
	r := &blockReader{rest: row.Transfers[1:], base: row.Ledger << 32}
	one := stored{Transfer: ledger.Transfer{
		TenantID: row.TenantID, Currency: row.Currency, State: ledger.Posted, CreatedAt: timeOf(row.At), EndedAt: timeOf(row.At),
	}}
	for n := 0; len(r.rest) > 0; n++ {
		if n == maxBlock {
			return fmt.Errorf("%w: it has more than %d transfers", errBlock, maxBlock)
		}
		if r.transfer(&one); r.err != nil {
			return r.err
		}
		if err := fn(&one); err != nil {
			return err
		}
	}
	if one.Sequence == 0 || one.Sequence != row.Sequence || one.ID != row.LastID {
		return fmt.Errorf("%w: it ends with another transfer than its row says", errBlock)
	}
	return nil
}

// blockReader reads a block, until there is an error.
type blockReader struct {
	rest []byte
	base int64
	err  error
}

func (r *blockReader) fail(what string) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s, %d bytes from the end", errBlock, what, len(r.rest))
	}
	r.rest = nil
}

// number is a varint that is no longer than it must be.
func (r *blockReader) number() uint64 {
	value, n := binary.Uvarint(r.rest)
	if n <= 0 || n > 1 && r.rest[n-1] == 0 {
		r.fail("a number is cut off or too long")
		return 0
	}
	r.rest = r.rest[n:]
	return value
}

func (r *blockReader) bytes(n uint64) []byte {
	if n > uint64(len(r.rest)) {
		r.fail("it is cut off")
		return nil
	}
	taken := r.rest[:n]
	r.rest = r.rest[n:]
	return taken
}

func (r *blockReader) text(before string) string {
	size := r.number()
	if size == 0 {
		return before
	}
	text := string(r.bytes(size - 1))
	if r.err == nil && text == before {
		r.fail("a text is there twice")
	}
	return text
}

// transfer reads one; t has the texts and the place of the one before it, and its
// memory for lines and postings.
func (r *blockReader) transfer(t *stored) {
	step := r.number()
	before, id := t.ID, r.bytes(idSize)
	t.Type = ledger.Type(r.text(string(t.Type)))
	t.Reference = r.text(t.Reference)
	t.XID = r.text(t.XID)
	t.IdempotencyKey = r.text(t.IdempotencyKey)
	t.SplitPolicy = r.text(t.SplitPolicy)
	hash := r.bytes(hashSize)
	n := r.number()
	if r.err != nil {
		return
	}
	t.Sequence += int64(step)
	t.ID, t.Hash = formatID([idSize]byte(id)), [hashSize]byte(hash)
	if step == 0 || step > 1<<62 || t.Sequence <= 0 || t.ID <= before || n > ledger.MaxPostings {
		r.fail("transfers are out of order, or one has too many postings")
		return
	}
	t.lines, t.Postings = slices.Grow(t.lines[:0], int(n))[:n], slices.Grow(t.Postings[:0], int(n))[:n]
	for i := range t.lines {
		account, amount := r.number(), r.number()
		l := line{number: r.base + int64(account), side: ledger.Debit, amount: int64(amount >> 1)}
		if amount&1 == 1 {
			l.side = ledger.Credit
		}
		t.lines[i] = l
		t.Postings[i] = ledger.Posting{Side: l.side, Amount: money.Amount{Minor: l.amount, Currency: t.Currency}}
	}
}

// isID tells whether an id is a UUID as this service writes them.
func isID(id string) bool {
	if len(id) != 36 {
		return false
	}
	for i := range len(id) {
		switch c := id[i]; {
		case i == 8 || i == 13 || i == 18 || i == 23:
			if c != '-' {
				return false
			}
		case c >= '0' && c <= '9', c >= 'a' && c <= 'f':
		default:
			return false
		}
	}
	return true
}

// idParts are where the digits of a UUID are.
var idParts = [...][2]int{{0, 8}, {9, 13}, {14, 18}, {19, 23}, {24, 36}}

// appendID appends the bytes of what isID.
func appendID(buf []byte, id string) []byte {
	for _, part := range idParts {
		for i := part[0]; i < part[1]; i += 2 {
			buf = append(buf, nibble(id[i])<<4|nibble(id[i+1]))
		}
	}
	return buf
}

func nibble(c byte) byte {
	if c >= 'a' {
		return c - 'a' + 10
	}
	return c - '0'
}

// formatID is what appendID was given.
func formatID(raw [idSize]byte) string {
	var text [36]byte
	from := 0
	for i, part := range idParts {
		if i > 0 {
			text[part[0]-1] = '-'
		}
		n := (part[1] - part[0]) / 2
		hex.Encode(text[part[0]:part[1]], raw[from:from+n])
		from += n
	}
	return string(text[:])
}
