package ledger

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// naive books each transfer in a transaction of its own. It has no chain, no
// history, no outbox and no pending transfers; the client's id is unique.
type naive struct{ pool *pgxpool.Pool }

const naiveTables = `
CREATE TABLE naive_accounts (id TEXT PRIMARY KEY, balance BIGINT NOT NULL);
CREATE TABLE naive_transfers (id TEXT PRIMARY KEY, debit TEXT NOT NULL, credit TEXT NOT NULL, amount BIGINT NOT NULL,
	created_at TIMESTAMPTZ NOT NULL DEFAULT now());
INSERT INTO naive_accounts SELECT 'account-' || n, 1000000000000 FROM generate_series(0, %d) AS n;
`

func openNaive(ctx context.Context, url string) (*naive, error) {
	n, err := connectNaive(ctx, url, poolConns)
	if err != nil {
		return nil, err
	}
	if _, err := n.pool.Exec(ctx, fmt.Sprintf(naiveTables, accounts-1)); err != nil {
		n.close()
		return nil, err
	}
	return n, nil
}

// poolConns is a pool of usual size, for clients that take turns.
const poolConns = 64

func connectNaive(ctx context.Context, url string, conns int32) (*naive, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	config.MaxConns = conns
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	return &naive{pool}, nil
}

func (n *naive) close() { n.pool.Close() }

var errShort = errors.New("insufficient funds")

func (n *naive) book(ctx context.Context, id string, from, to int, amount int64) error {
	debit, credit := accountID(from), accountID(to)
	return pgx.BeginFunc(ctx, n.pool, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, "SELECT id, balance FROM naive_accounts WHERE id IN ($1, $2) ORDER BY id FOR UPDATE", debit, credit)
		if err != nil {
			return err
		}
		found, balance := "", int64(0)
		_, err = pgx.ForEachRow(rows, []any{&found, &balance}, func() error {
			if found == debit && balance < amount {
				return errShort
			}
			return nil
		})
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "UPDATE naive_accounts SET balance = balance - $2 WHERE id = $1", debit, amount); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "UPDATE naive_accounts SET balance = balance + $2 WHERE id = $1", credit, amount); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, "INSERT INTO naive_transfers (id, debit, credit, amount) VALUES ($1, $2, $3, $4)", id, debit, credit, amount)
		return err
	})
}
