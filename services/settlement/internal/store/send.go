package store

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// queued is statements that go to PostgreSQL in one round trip, and what came of
// them. It is what pgx's Batch is, with COPY among them, for which pgx has a round
// trip of its own: the server, and this process for its answer, would wake once more.
type queued struct {
	commands     []*command
	taken, moved bool
}

// command is one of them.
type command struct {
	sql  string
	args []any
	data func(buffer []byte) []byte // appends what a COPY reads; nil for others
	tag  pgconn.CommandTag          // what the server answered

	rows    int   // that are expected, where missing is not nil
	missing *bool // is set where there are others
}

// add queues a statement.
func (q *queued) add(sql string, args ...any) *command {
	c := &command{sql: sql, args: args}
	q.commands = append(q.commands, c)
	return c
}

// expect has missing set where a statement is not about so many rows.
func (c *command) expect(rows int, missing *bool) { c.rows, c.missing = rows, missing }

// copyBuffers are of type *[]byte: a batch's rows are some 100 kB.
var copyBuffers sync.Pool

// maxCopyBuffer bounds what is kept for the next batch.
const maxCopyBuffer = 1 << 20

// send sends what is queued and takes in the answers. The first statement that fails
// is the last that is done.
func (q *queued) send(ctx context.Context, conn *pgx.Conn) (err error) {
	prepared := make([]*pgconn.StatementDescription, len(q.commands))
	for i, c := range q.commands { // a connection has each of them after the first time
		if prepared[i], err = conn.Prepare(ctx, c.sql, c.sql); err != nil {
			return err
		}
	}
	defer func() { // then it is in the midst of messages
		var answer *pgconn.PgError
		if err != nil && !errors.As(err, &answer) {
			err = errors.Join(err, conn.Close(ctx))
		}
	}()
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.PgConn().Conn().SetDeadline(deadline); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, conn.PgConn().Conn().SetDeadline(time.Time{})) }()
	}
	if err := q.write(conn, prepared); err != nil {
		return err
	}
	return q.read(conn.PgConn())
}

func (q *queued) write(conn *pgx.Conn, prepared []*pgconn.StatementDescription) error {
	front, builder := conn.PgConn().Frontend(), pgx.ExtendedQueryBuilder{}
	for i, c := range q.commands {
		if err := builder.Build(conn.TypeMap(), prepared[i], c.args); err != nil {
			return err
		}
		front.SendBind(&pgproto3.Bind{
			PreparedStatement: prepared[i].Name, ParameterFormatCodes: builder.ParamFormats, Parameters: builder.ParamValues,
		})
		front.SendExecute(&pgproto3.Execute{})
		if c.data != nil {
			sendCopy(front, c.data)
		}
	}
	front.SendSync(&pgproto3.Sync{})
	return front.Flush()
}

func sendCopy(front *pgproto3.Frontend, data func(buffer []byte) []byte) {
	kept, ok := copyBuffers.Get().(*[]byte)
	if !ok {
		kept = new([]byte)
	}
	*kept = data((*kept)[:0])
	front.Send(&pgproto3.CopyData{Data: *kept})
	front.Send(&pgproto3.CopyDone{})
	if cap(*kept) <= maxCopyBuffer {
		copyBuffers.Put(kept)
	}
}

func (q *queued) read(conn *pgconn.PgConn) (err error) {
	for done := 0; ; {
		message, fault := conn.ReceiveMessage(context.Background()) // the connection has a deadline
		if fault != nil {
			return fault
		}
		switch m := message.(type) {
		case *pgproto3.CommandComplete:
			if done == len(q.commands) {
				return fmt.Errorf("the server answers %d statements and %q", done, m.CommandTag)
			}
			q.commands[done].answered(pgconn.NewCommandTag(string(m.CommandTag)))
			done++
		case *pgproto3.ErrorResponse:
			err = pgconn.ErrorResponseToPgError(m)
		case *pgproto3.ReadyForQuery:
			return err
		}
	}
}

func (c *command) answered(tag pgconn.CommandTag) {
	c.tag = tag
	if c.missing != nil && tag.RowsAffected() != int64(c.rows) {
		*c.missing = true
	}
}
