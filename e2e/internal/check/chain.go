package check

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"fmt"
	"net/url"
	"slices"
	"strings"

	_ "modernc.org/sqlite" // the driver
)

// Chain recomputes the hash chains from the rows and blocks of settlement's SQLite file,
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
	faults, err := keyed(ctx, tx, links)
	if err != nil {
		return nil, err
	}
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
	lines, chain                            string
	sequence, createdAt, endedAt, postingsN int64
	expiresAt                               int64
	hash, postings                          []byte
	packed                                  bool
}

func readLinks(ctx context.Context, tx *sql.Tx) (links []link, err error) {
	if links, err = readBlocks(ctx, tx); err != nil {
		return nil, err
	}
	rows, err := tx.QueryContext(ctx, `SELECT transfers.tenant_id, COALESCE(ledgers.currency, 'of none'), id, type, reference, xid, idempotency_key, split_policy,
		transfers.sequence, created_at, ended_at, transfers.hash, postings, chain_id, expires_at
		FROM transfers LEFT JOIN ledgers ON ledgers.number = transfers.ledger WHERE state = 2`)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var l link
		if err := rows.Scan(&l.ledger.tenant, &l.ledger.currency, &l.id, &l.kind, &l.reference, &l.xid, &l.key, &l.policy,
			&l.sequence, &l.createdAt, &l.endedAt, &l.hash, &l.lines, &l.chain, &l.expiresAt); err != nil {
			return nil, err
		}
		links = append(links, l)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	accounts, err := readNumbers(ctx, tx)
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(links, func(a, b link) int {
		return cmp.Or(cmp.Compare(a.ledger.tenant, b.ledger.tenant), cmp.Compare(a.ledger.currency, b.ledger.currency), cmp.Compare(a.sequence, b.sequence))
	})
	for i := range links {
		if err := links[i].readPostings(accounts); err != nil {
			return nil, err
		}
	}
	return links, nil
}

// readNumbers gives the ids of accounts by number.
func readNumbers(ctx context.Context, tx *sql.Tx) (map[int64]string, error) {
	rows, err := tx.QueryContext(ctx, "SELECT number, id FROM accounts")
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	ids := map[int64]string{}
	for rows.Next() {
		var number int64
		var id string
		if err := rows.Scan(&number, &id); err != nil {
			return nil, err
		}
		ids[number] = id
	}
	return ids, rows.Err()
}

// readPostings reads lines such as `4294967297d499 4294967298c499`.
func (l *link) readPostings(accounts map[int64]string) error {
	for _, line := range strings.Fields(l.lines) {
		var account, amount int64
		var side rune
		if _, err := fmt.Sscanf(line, "%d%c%d", &account, &side, &amount); err != nil || side != 'd' && side != 'c' {
			return fmt.Errorf("transfer %s: posting %q: %w", l.id, line, err)
		}
		l.postingsN++
		l.postings = number(append(text(l.postings, accounts[account]), map[rune]byte{'d': 1, 'c': 2}[side]), amount)
	}
	return nil
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
// Numbers are 8 bytes big endian, texts have their length first. What was linked
// or could expire is of another version, and ends with that.
func (l *link) hashAfter(before []byte) []byte {
	version, rest := "backlot/ledger/transfer/v1", []byte(nil)
	if l.chain != "" || l.expiresAt != 0 {
		version, rest = "backlot/ledger/transfer/v2", number(text(nil, l.chain), l.expiresAt)
	}
	content := text(nil, version)
	content = append(content, append(before, make([]byte, sha256.Size-len(before))...)...)
	content = number(content, l.sequence)
	for _, field := range []string{l.ledger.tenant, l.ledger.currency, l.id, l.kind, l.reference, l.xid, l.key, l.policy} {
		content = text(content, field)
	}
	content = number(number(number(content, l.createdAt), l.endedAt), l.postingsN)
	hash := sha256.Sum256(append(append(content, l.postings...), rest...))
	return hash[:]
}

func number(to []byte, n int64) []byte { return binary.BigEndian.AppendUint64(to, uint64(n)) }

func text(to []byte, s string) []byte { return append(number(to, int64(len(s))), s...) }
