package store

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/backlot-video/backlot/services/settlement/internal/ledger"
	settlementdb "github.com/backlot-video/backlot/sql/gen/settlement"
)

// maxLines bounds the postings of a run.
const maxLines = 512

// place is one in an account's postings: a time in microseconds, and within it a
// place in the chain.
type place struct{ at, sequence int64 }

// after tells whether a place comes after another.
func (p place) after(other place) bool {
	return p.at > other.at || p.at == other.at && p.sequence > other.sequence
}

// move is a posting of an account: what its posted sums came to.
type move struct {
	place
	debits, credits int64
}

// run is some postings of an account, as they are stored.
type run struct {
	account int64
	move           // the last
	lines   []byte // those before it, as encodeLines makes them
}

var errMoves = errors.New("stored moves do not read")

// encodeMoves makes one value of a batch's moves, in the order of the chain,
// whose first transfer is first: for each the account, counted from base, and
// sequence, debits and credits, all as varints.
func encodeMoves(base, first int64, moves []ledger.Move) []byte {
	var buf []byte
	for i := range moves {
		m := &moves[i]
		buf = binary.AppendUvarint(buf, uint64(m.Account-base))
		buf = binary.AppendUvarint(buf, uint64(m.Sequence-first))
		buf = binary.AppendUvarint(buf, uint64(m.Debits))
		buf = binary.AppendUvarint(buf, uint64(m.Credits))
		first = m.Sequence
	}
	return buf
}

// decodeMoves gives each what encodeMoves was given.
func decodeMoves(raw []byte, base, first int64, each func(ledger.Move)) error {
	for len(raw) > 0 {
		fields, rest, err := four(raw)
		if err != nil {
			return err
		}
		first += fields[1]
		each(ledger.Move{Account: base + fields[0], Sequence: first, Debits: fields[2], Credits: fields[3]})
		raw = rest
	}
	return nil
}

// four takes four varints from raw.
func four(raw []byte) (fields [4]int64, rest []byte, err error) {
	for i := range fields {
		value, n := binary.Uvarint(raw)
		if n <= 0 {
			return fields, nil, fmt.Errorf("%w: %d bytes from the end", errMoves, len(raw))
		}
		fields[i], raw = int64(value), raw[n:]
	}
	return fields, raw, nil
}

// appendLine appends a move to those of a run, of which last is the last
// one, or nothing: what it differs in.
func appendLine(buf []byte, m, last move) []byte {
	buf = binary.AppendUvarint(buf, uint64(m.at-last.at))
	buf = binary.AppendUvarint(buf, uint64(m.sequence-last.sequence))
	buf = binary.AppendUvarint(buf, uint64(m.debits-last.debits))
	return binary.AppendUvarint(buf, uint64(m.credits-last.credits))
}

// decodeRun gives all moves of a run, the last one too.
func decodeRun(row settlementdb.RunsAfterRow) ([]move, error) {
	moves := make([]move, 0, 1+len(row.Lines)/4)
	var last move
	for raw := row.Lines; len(raw) > 0; {
		fields, rest, err := four(raw)
		if err != nil {
			return nil, err
		}
		last.at, last.sequence = last.at+fields[0], last.sequence+fields[1]
		last.debits, last.credits = last.debits+fields[2], last.credits+fields[3]
		moves, raw = append(moves, last), rest
	}
	return append(moves, move{place{row.At, row.Sequence}, row.Debits, row.Credits}), nil
}
