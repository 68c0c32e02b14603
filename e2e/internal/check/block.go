package check

import (
	"context"
	"database/sql"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// readBlocks reads the transfers that settlement packed.
func readBlocks(ctx context.Context, tx *sql.Tx) (links []link, err error) {
	rows, err := tx.QueryContext(ctx, `SELECT COALESCE(ledgers.tenant_id, 'of none'), COALESCE(ledgers.currency, 'of none'),
		blocks.ledger, at, transfers FROM blocks LEFT JOIN ledgers ON ledgers.number = blocks.ledger`)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var of link
		var number int64
		var packed []byte
		if err := rows.Scan(&of.ledger.tenant, &of.ledger.currency, &number, &of.createdAt, &packed); err != nil {
			return nil, err
		}
		of.endedAt, of.packed = of.createdAt, true
		all, err := unpack(of, number<<32, packed)
		if err != nil {
			return nil, fmt.Errorf("block of ledger %v at %d: %w", of.ledger, of.createdAt, err)
		}
		links = append(links, all...)
	}
	return links, rows.Err()
}

// keyed looks for each that is packed by its idempotency key.
func keyed(ctx context.Context, tx *sql.Tx, links []link) (faults []string, err error) {
	for _, l := range links {
		if !l.packed {
			continue
		}
		var sequence int64
		err := tx.QueryRowContext(ctx, "SELECT sequence FROM keys WHERE tenant_id = ? AND idempotency_key = ?", l.ledger.tenant, l.key).Scan(&sequence)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return nil, err
		}
		if sequence != l.sequence {
			faults = append(faults, fmt.Sprintf("transfer %s: its key gives place %d, it has %d", l.id, sequence, l.sequence))
		}
	}
	return faults, nil
}

var errCut = errors.New("it is cut off")

// unpack reads a block, whose first byte is its format: of each transfer how
// much its place is above the last one's, the id, five texts of which 0 is the
// one before and else the length is one less, the hash, and for each posting the
// account less the base, and twice the amount, and one more for a credit.
func unpack(of link, base int64, packed []byte) (links []link, err error) {
	if len(packed) == 0 || packed[0] != 1 {
		return nil, errors.New("it is of another format")
	}
	rest := packed[1:]
	take := func(n uint64) (taken []byte) {
		if n > uint64(len(rest)) {
			rest, err = nil, errCut
			return make([]byte, min(n, 32))
		}
		taken, rest = rest[:n], rest[n:]
		return taken
	}
	number := func() uint64 {
		value, n := binary.Uvarint(rest)
		take(uint64(max(n, 0)))
		if n <= 0 {
			rest, err = nil, errCut
		}
		return value
	}
	for len(rest) > 0 && err == nil {
		of.sequence += int64(number())
		id := hex.EncodeToString(take(16))
		of.id = strings.Join([]string{id[:8], id[8:12], id[12:16], id[16:20], id[20:]}, "-")
		for _, text := range []*string{&of.kind, &of.reference, &of.xid, &of.key, &of.policy} {
			if size := number(); size > 0 {
				*text = string(take(size - 1))
			}
		}
		of.hash = take(32)
		var lines []string
		for range min(number(), uint64(len(rest))) {
			account, amount := base+int64(number()), number()
			lines = append(lines, fmt.Sprintf("%d%c%d", account, "dc"[amount&1], amount>>1))
		}
		of.lines = strings.Join(lines, " ")
		links = append(links, of)
	}
	return links, err
}
