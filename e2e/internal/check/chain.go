package check

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"fmt"
	"net/url"

	_ "modernc.org/sqlite" // the driver
)

// Chain recomputes the hash chains from the rows of settlement's SQLite file,
// which another process may have open.
func Chain(ctx context.Context, path string) ([]string, error) {
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Opaque: path, RawQuery: "mode=ro&_pragma=busy_timeout(5000)"}).String())
	if err != nil {
		return nil, err
	}
	defer func() { _ = db.Close() }()
	tx, err := db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return nil, err
	}
	defer func() { _ = tx.Rollback() }()
	links, err := readLinks(ctx, tx)
	if err != nil {
		return nil, err
	}
	var faults []string
	heads := map[ledgerKey]link{}
	for _, l := range links {
		prev := heads[l.ledger]
		if l.sequence != prev.sequence+1 {
			faults = append(faults, fmt.Sprintf("transfer %s has place %d after %d", l.id, l.sequence, prev.sequence))
		}
		if hash := l.hashAfter(prev.hash); !bytes.Equal(hash, l.hash) {
			faults = append(faults, fmt.Sprintf("transfer %s has hash %x, its content gives %x", l.id, l.hash, hash))
		}
		heads[l.ledger] = l
	}
	heading, err := readHeads(ctx, tx, heads)
	return append(faults, heading...), err
}

// ledgerKey names a ledger.
type ledgerKey struct{ tenant, currency string }

// link is a posted transfer in its chain.
type link struct {
	ledger                                  ledgerKey
	id, kind, reference, xid, key, policy   string
	sequence, createdAt, endedAt, postingsN int64
	hash, postings                          []byte
}

func readLinks(ctx context.Context, tx *sql.Tx) (links []link, err error) {
	rows, err := tx.QueryContext(ctx, `SELECT tenant_id, currency, id, type, reference, xid, idempotency_key, split_policy,
		sequence, created_at, ended_at, hash FROM transfers WHERE state = 2 ORDER BY tenant_id, currency, sequence`)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var l link
		if err := rows.Scan(&l.ledger.tenant, &l.ledger.currency, &l.id, &l.kind, &l.reference, &l.xid, &l.key, &l.policy,
			&l.sequence, &l.createdAt, &l.endedAt, &l.hash); err != nil {
			return nil, err
		}
		links = append(links, l)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	for i := range links {
		if err := links[i].readPostings(ctx, tx); err != nil {
			return nil, err
		}
	}
	return links, nil
}

func (l *link) readPostings(ctx context.Context, tx *sql.Tx) error {
	rows, err := tx.QueryContext(ctx, "SELECT account_id, side, amount FROM postings WHERE transfer_id = ? ORDER BY line", l.id)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var account string
		var side, amount int64
		if err := rows.Scan(&account, &side, &amount); err != nil {
			return err
		}
		l.postingsN++
		l.postings = number(append(text(l.postings, account), byte(side)), amount)
	}
	return rows.Err()
}

func readHeads(ctx context.Context, tx *sql.Tx, heads map[ledgerKey]link) (faults []string, err error) {
	rows, err := tx.QueryContext(ctx, "SELECT tenant_id, currency, sequence, hash FROM ledgers")
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var of ledgerKey
		var sequence int64
		var hash []byte
		if err := rows.Scan(&of.tenant, &of.currency, &sequence, &hash); err != nil {
			return nil, err
		}
		if last := heads[of]; sequence != last.sequence || sequence > 0 && !bytes.Equal(hash, last.hash) {
			faults = append(faults, fmt.Sprintf("ledger %v ends at %d (%x), its last transfer is %d (%x)", of, sequence, hash, last.sequence, last.hash))
		}
		delete(heads, of)
	}
	for of := range heads {
		faults = append(faults, fmt.Sprintf("ledger %v has transfers and no head", of))
	}
	return faults, rows.Err()
}

// hashAfter is SHA-256 over the version, the hash before and the transfer.
// Numbers are 8 bytes big endian, texts have their length first.
func (l *link) hashAfter(before []byte) []byte {
	content := text(nil, "backlot/ledger/transfer/v1")
	content = append(content, append(before, make([]byte, sha256.Size-len(before))...)...)
	content = number(content, l.sequence)
	for _, field := range []string{l.ledger.tenant, l.ledger.currency, l.id, l.kind, l.reference, l.xid, l.key, l.policy} {
		content = text(content, field)
	}
	content = number(number(number(content, l.createdAt), l.endedAt), l.postingsN)
	hash := sha256.Sum256(append(content, l.postings...))
	return hash[:]
}

func number(to []byte, n int64) []byte { return binary.BigEndian.AppendUint64(to, uint64(n)) }

func text(to []byte, s string) []byte { return append(number(to, int64(len(s))), s...) }
