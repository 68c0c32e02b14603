package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/backlot-video/backlot/kit/database"
	"github.com/backlot-video/backlot/services/settlement/internal/ledger"
	settlementdb "github.com/backlot-video/backlot/sql/gen/settlement"
)

// sqlite reads row by row, and writes many rows with a statement.
type sqlite struct {
	tx       *sql.Tx
	store    *Store
	q        *settlementdb.Queries
	prepared *statements
	args     []any
	// What is the same in all rows of a batch.
	tenantID, ledger, at any
}

// insertion is a statement for so many rows.
type insertion struct {
	table *table
	rows  int
}

// table is how rows of one are inserted: `head (?, ?), (?, ?) tail`.
type table struct {
	head, tail string
	columns    int
}

// statement inserts so many rows. Its parameters have no numbers: SQLite looks
// for each of those in a list of all.
func (t *table) statement(rows int) string {
	row := "(?" + strings.Repeat(", ?", t.columns-1) + ")"
	return t.head + row + strings.Repeat(", "+row, rows-1) + t.tail
}

// The inserts. The queries of sqlc are for one row each.
var (
	transferRows = &table{`INSERT INTO transfers (id, tenant_id, ledger, type, state, reference, xid, idempotency_key, split_policy,
		chain_id, pended, sequence, hash, postings, created_at, ended_at, expires_at) VALUES `, ` ON CONFLICT DO NOTHING`, 17}
	keyRows = &table{ // what is the same in all rows is bound once
		`INSERT INTO keys (tenant_id, ledger, idempotency_key, sequence) SELECT ?, ?, column1, column2 FROM (VALUES `,
		`) WHERE true ON CONFLICT DO NOTHING`, 2,
	}
	placeRows   = &table{`INSERT INTO block_references (tenant_id, ledger, reference, id, sequence) VALUES `, ``, 5}
	balanceRows = &table{
		`INSERT INTO balances (account, debits_pending, credits_pending) VALUES `,
		` ON CONFLICT (account) DO UPDATE SET debits_pending = excluded.debits_pending, credits_pending = excluded.credits_pending`, 3,
	}
	runRows = &table{`INSERT INTO runs (account, at, sequence, debits, credits, lines) VALUES `, ` ON CONFLICT DO NOTHING`, 6}
)

// chunks are the numbers of rows that a statement may have: with these a batch has
// few statements.
var chunks = []int{128, 64, 32, 16, 8, 4, 2, 1}

// insert adds n rows, whose columns add appends, and returns how many were
// added or changed. shared are parameters before those of rows.
func (s *sqlite) insert(ctx context.Context, into *table, n int, add func(i int), shared ...any) (int64, error) {
	total, i := int64(0), 0
	for _, size := range chunks {
		for ; n-i >= size; i += size {
			s.args = append(s.args[:0], shared...)
			for j := range size {
				add(i + j)
			}
			//nolint:sqlclosecheck // it ends with the transaction
			result, err := s.tx.StmtContext(ctx, s.prepared.inserts[insertion{into, size}]).ExecContext(ctx, s.args...)
			if err != nil {
				return 0, err
			}
			added, err := result.RowsAffected()
			if err != nil {
				return 0, err
			}
			total += added
		}
	}
	return total, nil
}

// exec executes one of perBatch, and returns how many rows it was about.
func (s *sqlite) exec(ctx context.Context, query string, args ...any) (int64, error) {
	//nolint:sqlclosecheck // it ends with the transaction
	result, err := s.tx.StmtContext(ctx, s.prepared.single[query]).ExecContext(ctx, args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// takeVersion is LockLedger for who knows what it would give.
const takeVersion = `UPDATE ledgers SET version = version + 1 WHERE tenant_id = ? AND currency = ?`

// perBatch are what each batch does once.
var perBatch = []string{takeVersion, settlementdb.AddBlock, settlementdb.AddMoves, settlementdb.AddFact, settlementdb.MoveLedger}

// statements are prepared, since to parse them in each batch took a twentieth
// of its time.
type statements struct {
	inserts map[insertion]*sql.Stmt
	single  map[string]*sql.Stmt
}

// prepared are the statements, prepared once.
type prepared struct {
	mu         sync.Mutex
	statements *statements
}

func (p *prepared) all(ctx context.Context, db *database.DB) (*statements, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.statements != nil {
		return p.statements, nil
	}
	all := &statements{make(map[insertion]*sql.Stmt), make(map[string]*sql.Stmt)}
	for _, query := range perBatch {
		//nolint:sqlclosecheck // it lives as long as the database
		statement, err := db.Prepare(ctx, query)
		if err != nil {
			return nil, fmt.Errorf("prepare: %w", err)
		}
		all.single[query] = statement
	}
	for _, into := range []*table{keyRows, placeRows, transferRows, balanceRows, runRows} {
		for _, size := range chunks {
			//nolint:sqlclosecheck // it lives as long as the database
			statement, err := db.Prepare(ctx, into.statement(size))
			if err != nil {
				return nil, fmt.Errorf("prepare: %w", err)
			}
			all.inserts[insertion{into, size}] = statement
		}
	}
	p.statements = all
	return all, nil
}

func (s *sqlite) named(ctx context.Context, l Ledger, names []ledger.Name) ([]ledger.Account, error) {
	var found []settlementdb.GetAccountRow
	for _, name := range names {
		row, err := s.q.FindAccount(ctx, settlementdb.FindAccountParams{
			TenantID: l.TenantID, OwnerID: name.OwnerID, Purpose: string(name.Purpose), Currency: l.Currency,
		})
		if errors.Is(err, sql.ErrNoRows) {
			continue
		}
		if err != nil {
			return nil, err
		}
		found = append(found, settlementdb.GetAccountRow(row))
	}
	return s.store.accounts(ctx, s.q, found...)
}

func (s *sqlite) accounts(ctx context.Context, l Ledger, ids []string) ([]ledger.Account, error) {
	var found []settlementdb.GetAccountRow
	for _, id := range ids {
		row, err := s.q.GetAccount(ctx, settlementdb.GetAccountParams{TenantID: l.TenantID, ID: id})
		if errors.Is(err, sql.ErrNoRows) {
			continue
		}
		if err != nil {
			return nil, err
		}
		found = append(found, row)
	}
	return s.store.accounts(ctx, s.q, found...)
}

func (s *sqlite) byKey(ctx context.Context, l Ledger, keys []string) ([]stored, error) {
	var found []stored
	for _, key := range keys {
		one, err := byKey(ctx, s.q, l.TenantID, key)
		if errors.Is(err, sql.ErrNoRows) {
			continue
		}
		if err != nil {
			return nil, err
		}
		found = append(found, one)
	}
	return found, nil
}

func (s *sqlite) write(ctx context.Context, l Ledger, w *written) (bool, error) {
	s.tenantID, s.ledger, s.at = l.TenantID, l.Number, w.at.UnixMicro()
	if w.unlocked {
		n, err := s.exec(ctx, takeVersion, l.TenantID, l.Currency)
		if err == nil && n != 1 {
			err = ErrMoved
		}
		if err != nil {
			return false, err
		}
	}
	if fresh, err := s.addAccounts(ctx, l, w); err != nil || !fresh {
		return false, err
	}
	if fresh, err := s.addTransfers(ctx, w); err != nil || !fresh {
		return false, err
	}
	for _, t := range w.Ended {
		n, err := s.q.EndTransfer(ctx, settlementdb.EndTransferParams{
			TenantID: l.TenantID, ID: t.ID, State: int32(t.State), Sequence: t.Sequence, Hash: hashOf(t), EndedAt: t.EndedAt.UnixMicro(),
		})
		if err != nil {
			return false, err
		}
		if n != 1 {
			return false, ErrMoved
		}
	}
	slices.SortFunc(w.Held, func(a, b *ledger.Account) int { return cmp.Compare(a.Number, b.Number) })
	_, err := s.insert(ctx, balanceRows, len(w.Held), func(i int) {
		a := w.Held[i]
		s.args = append(s.args, a.Number, a.Balance.DebitsPending.Minor, a.Balance.CreditsPending.Minor)
	})
	if err != nil {
		return false, err
	}
	if err := s.addMoves(ctx, l, w); err != nil {
		return false, err
	}
	at := w.at.UnixMicro()
	for _, fact := range w.facts {
		if _, err := s.exec(ctx, settlementdb.AddFact, fact.ID, l.TenantID, at, fact.Envelope, at); err != nil {
			return false, err
		}
	}
	moved, err := s.exec(ctx, settlementdb.MoveLedger,
		w.LastNumber, w.Head.Sequence, w.Head.Hash[:], at, l.Unsorted,
		l.progress.sortedTo, l.progress.sortingTo, l.progress.account, l.progress.sequence, l.Number, l.Version)
	if err == nil && moved != 1 {
		err = ErrMoved
	}
	return true, err
}

// addMoves writes a batch's moves, and does what it does to sort those of others.
func (s *sqlite) addMoves(ctx context.Context, l Ledger, w *written) error {
	if len(w.Moves) > 0 {
		_, err := s.exec(ctx, settlementdb.AddMoves, l.Number, w.Head.Sequence, w.Moves[0].Sequence, w.at.UnixMicro(), w.moves)
		if err != nil {
			return err
		}
	}
	runs := l.step.runs
	added, err := s.insert(ctx, runRows, len(runs), func(i int) {
		r := &runs[i]
		s.args = append(s.args, r.account, r.at, r.sequence, r.debits, r.credits, r.lines)
	})
	if err == nil && added != int64(len(runs)) {
		err = ErrMoved
	}
	if err != nil || l.step.deleteTo == 0 {
		return err
	}
	return s.q.DeleteMoves(ctx, settlementdb.DeleteMovesParams{Ledger: l.Number, AfterSequence: l.step.from.sequence, UpTo: l.step.deleteTo})
}

func (s *sqlite) addAccounts(ctx context.Context, l Ledger, w *written) (bool, error) {
	for _, a := range w.Opened {
		n, err := s.q.AddAccount(ctx, settlementdb.AddAccountParams{
			Number: a.Number, ID: a.ID, TenantID: l.TenantID, Purpose: string(a.Purpose), OwnerID: a.OwnerID, Currency: a.Currency,
			NormalSide: int32(a.NormalSide), Overdraft: flag(a.Overdraft), State: int32(a.State), CreatedAt: w.at.UnixMicro(),
		})
		if err != nil || n != 1 {
			return false, err
		}
		if err := s.q.AddBalance(ctx, a.Number); err != nil {
			return false, err
		}
	}
	return true, nil
}

// bindKeys makes keys.
func (w *written) bindKeys() {
	w.keys = make([]any, 0, 2*len(w.byKey))
	for _, i := range w.byKey {
		w.keys = append(w.keys, w.Added[i].IdempotencyKey, w.places[i])
	}
}

// addTransfers reports false where an id or idempotency key was taken.
func (s *sqlite) addTransfers(ctx context.Context, w *written) (bool, error) {
	added, err := s.insert(ctx, keyRows, len(w.Added), func(i int) {
		s.args = append(s.args, w.keys[2*i:2*i+2]...)
	}, s.tenantID, s.ledger)
	if err != nil || added != int64(len(w.Added)) {
		return false, err
	}
	added, err = s.insert(ctx, transferRows, len(w.rows), func(i int) { s.transfer(w, i) })
	if err != nil || added != int64(len(w.rows)) {
		return false, err
	}
	for _, b := range w.blocks {
		n, err := s.exec(ctx, settlementdb.AddBlock, s.ledger, b.sequence, b.lastID, s.at, b.transfers)
		if err == nil && n != 1 {
			err = ErrMoved
		}
		if err != nil {
			return false, err
		}
	}
	_, err = s.insert(ctx, placeRows, len(w.referenced), func(i int) {
		t := w.referenced[i]
		s.args = append(s.args, s.tenantID, s.ledger, t.Reference, t.ID, t.Sequence)
	})
	return err == nil, err
}

func (s *sqlite) transfer(w *written, i int) {
	t := w.rows[i]
	ended := s.at
	if !t.EndedAt.Equal(w.at) {
		ended = microsOf(t.EndedAt)
	}
	s.args = append(s.args, t.ID, s.tenantID, s.ledger, string(t.Type), int64(t.State), t.Reference, t.XID, t.IdempotencyKey, t.SplitPolicy,
		t.ChainID, int64(flag(t.Pended)), t.Sequence, hashOf(t), w.postings[i], s.at, ended, microsOf(t.ExpiresAt))
}
