package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/backlot-video/backlot/kit/money"
	"github.com/backlot-video/backlot/services/settlement/internal/ledger"
	settlementdb "github.com/backlot-video/backlot/sql/gen/settlement"
	"github.com/backlot-video/backlot/sql/gen/settlementpg"
)

// decodeAccount decodes an account with what was posted to it up to its last
// run.
func decodeAccount(row settlementdb.GetAccountRow) ledger.Account {
	amount := func(minor int64) money.Amount { return money.Amount{Minor: minor, Currency: row.Currency} }
	return ledger.Account{
		ID: row.ID, Number: row.Number, State: ledger.AccountState(row.State),
		Purpose: ledger.Purpose(row.Purpose), OwnerID: row.OwnerID, Currency: row.Currency,
		NormalSide: ledger.Side(row.NormalSide), Overdraft: row.Overdraft == 1,
		Balance: ledger.Balance{
			DebitsPosted: amount(row.DebitsPosted), CreditsPosted: amount(row.CreditsPosted),
			DebitsPending: amount(row.DebitsPending), CreditsPending: amount(row.CreditsPending),
		},
	}
}

// accounts decodes rows, with what is posted to each as of its row. It returns
// errStale.
func (s *Store) accounts(ctx context.Context, q *settlementdb.Queries, rows ...settlementdb.GetAccountRow) ([]ledger.Account, error) {
	all := make([]ledger.Account, len(rows))
	for i, row := range rows {
		account := decodeAccount(row)
		err := s.tail(ctx, q, row.Number>>32, state{row.Head, row.SortedTo}, func(t *tail) { t.settle(&account, row.Head) })
		if err != nil {
			return nil, err
		}
		all[i] = account
	}
	return all, nil
}

// settle sets what is posted to an account whose last run is known.
func (t *tail) settle(account *ledger.Account, head int64) {
	if moves := t.upTo(account.Number, ever, head); len(moves) > 0 {
		last := moves[len(moves)-1]
		account.Balance.DebitsPosted.Minor, account.Balance.CreditsPosted.Minor = last.debits, last.credits
	}
}

// attempts is how often accounts are read that a batch sorts meanwhile.
const attempts = 8

// readAccounts reads and decodes accounts outside of a transaction.
func (s *Store) readAccounts(
	ctx context.Context, read func(q *settlementdb.Queries) ([]settlementdb.GetAccountRow, error),
) (all []ledger.Account, err error) {
	q := s.queries()
	for range attempts {
		var rows []settlementdb.GetAccountRow
		if rows, err = read(q); err != nil {
			return nil, err
		}
		if all, err = s.accounts(ctx, q, rows...); !errors.Is(err, errStale) {
			break
		}
	}
	return all, err
}

// line is a posting as it is stored.
type line struct {
	number int64
	side   ledger.Side
	amount int64
}

// encodePostings makes a text of a transfer's postings: `4294967297d499 4294967298c499`.
func encodePostings(buf []byte, postings []ledger.Posting, number func(accountID string) int64) []byte {
	for i := range postings {
		if i > 0 {
			buf = append(buf, ' ')
		}
		buf = strconv.AppendInt(buf, number(postings[i].AccountID), 10)
		side := byte('d')
		if postings[i].Side == ledger.Credit {
			side = 'c'
		}
		buf = strconv.AppendInt(append(buf, side), postings[i].Amount.Minor, 10)
	}
	return buf
}

// encodeAll is encodePostings of each transfer. The texts share memory.
func encodeAll(transfers []*ledger.Transfer, number func(accountID string) int64) []string {
	all, ends := make([]string, len(transfers)), make([]int, len(transfers))
	buf := make([]byte, 0, 48*len(transfers))
	for i, t := range transfers {
		buf = encodePostings(buf, t.Postings, number)
		ends[i] = len(buf)
	}
	text, begin := string(buf), 0
	for i, end := range ends {
		all[i], begin = text[begin:end], end
	}
	return all
}

var errPostings = errors.New("stored postings do not read")

// decodePostings reads what encodePostings wrote.
func decodePostings(text string) ([]line, error) {
	lines := make([]line, 0, strings.Count(text, " ")+1)
	for field := range strings.SplitSeq(text, " ") {
		at := strings.IndexAny(field, "dc")
		if at < 1 {
			return nil, fmt.Errorf("%w: %q", errPostings, field)
		}
		number, err := strconv.ParseInt(field[:at], 10, 64)
		amount, fault := strconv.ParseInt(field[at+1:], 10, 64)
		if err := errors.Join(err, fault); err != nil {
			return nil, fmt.Errorf("%w: %w", errPostings, err)
		}
		side := ledger.Debit
		if field[at] == 'c' {
			side = ledger.Credit
		}
		lines = append(lines, line{number, side, amount})
	}
	return lines, nil
}

// decodeTransfer decodes a row of transfers.
func decodeTransfer(row settlementdb.GetTransferRow) (stored, error) {
	t := ledger.Transfer{
		ID: row.ID, TenantID: row.TenantID, Currency: row.Currency, Type: ledger.Type(row.Type),
		State: ledger.State(row.State), Reference: row.Reference, XID: row.Xid, IdempotencyKey: row.IdempotencyKey,
		SplitPolicy: row.SplitPolicy, ChainID: row.ChainID, Pended: row.Pended == 1,
		CreatedAt: timeOf(row.CreatedAt), EndedAt: timeOf(row.EndedAt), ExpiresAt: timeOf(row.ExpiresAt),
		Sequence: row.Sequence, Hash: digest(row.Hash),
	}
	lines, err := decodePostings(row.Postings)
	if err != nil {
		return stored{}, fmt.Errorf("transfer %s: %w", row.ID, err)
	}
	t.Postings = make([]ledger.Posting, len(lines))
	for i, l := range lines {
		t.Postings[i] = ledger.Posting{Side: l.side, Amount: money.Amount{Minor: l.amount, Currency: row.Currency}}
	}
	return stored{t, lines}, nil
}

// transferRow is a row of transfers as any of the queries gives it.
type transferRow interface {
	settlementdb.GetTransferRow | settlementdb.FindTransferRow | settlementdb.ListLinkedRow | settlementdb.ListTransfersRow |
		settlementdb.ListTransfersOfRow | settlementdb.ListPendingOfTypeRow | settlementdb.ListPendingRow | settlementdb.ListChainRow |
		settlementdb.ListPaymentsRow | settlementpg.FindTransfersRow
}

// decodeRows decodes what a query gives.
func decodeRows[Row transferRow](rows []Row, err error) ([]stored, error) {
	all := make([]stored, len(rows))
	for i := 0; i < len(rows) && err == nil; i++ {
		all[i], err = decodeTransfer(settlementdb.GetTransferRow(rows[i]))
	}
	if err != nil {
		return nil, err
	}
	return all, nil
}

// named makes whole transfers: their postings name accounts.
func (s *Store) named(ctx context.Context, q *settlementdb.Queries, all []stored) ([]ledger.Transfer, error) {
	transfers := make([]ledger.Transfer, len(all))
	for i := range all {
		if err := s.name(ctx, q, &all[i]); err != nil {
			return nil, err
		}
		transfers[i] = all[i].Transfer
	}
	return transfers, nil
}

// name has a transfer's postings name accounts.
func (s *Store) name(ctx context.Context, q *settlementdb.Queries, one *stored) error {
	for i, l := range one.lines {
		of, err := s.names.of(l.number, func() (name, error) {
			row, err := q.GetAccountByNumber(ctx, l.number)
			return name{row.ID, ledger.Purpose(row.Purpose), row.OwnerID}, err
		})
		if err != nil {
			return err
		}
		posting := &one.Postings[i]
		posting.AccountID, posting.Purpose, posting.OwnerID = of.id, of.purpose, of.ownerID
	}
	return nil
}

// microsOf is a time as it is stored; none is 0.
func microsOf(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// timeOf is a stored time; 0 is none.
func timeOf(micros int64) time.Time {
	if micros == 0 {
		return time.Time{}
	}
	return time.UnixMicro(micros).UTC()
}

// hashOf is a transfer's hash as it is stored: nothing unless it is posted.
func hashOf(t *ledger.Transfer) []byte {
	if t.State != ledger.Posted {
		return []byte{}
	}
	return t.Hash[:]
}

// digest is a stored hash; one of another length is no hash at all.
func digest(raw []byte) (hash [32]byte) {
	if len(raw) == len(hash) {
		copy(hash[:], raw)
	}
	return hash
}

func flag(set bool) int32 {
	if set {
		return 1
	}
	return 0
}

func notFound(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return ErrNotFound
	}
	return err
}
