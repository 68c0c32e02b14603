package mq

import (
	"context"
	"database/sql"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// native lets a transaction of database/sql, over pgx, run those of pgx's
// queries that give no rows.
type native struct{ tx *sql.Tx }

func (n native) Exec(ctx context.Context, query string, args ...any) (pgconn.CommandTag, error) {
	_, err := n.tx.ExecContext(ctx, query, args...)
	return pgconn.CommandTag{}, err
}

func (n native) Query(context.Context, string, ...any) (pgx.Rows, error) {
	return nil, errors.ErrUnsupported
}

func (n native) QueryRow(context.Context, string, ...any) pgx.Row { return noRow{} }

type noRow struct{}

func (noRow) Scan(...any) error { return errors.ErrUnsupported }
