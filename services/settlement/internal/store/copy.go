package store

import (
	"encoding/binary"

	"github.com/backlot-video/backlot/services/settlement/internal/ledger"
)

// These are PostgreSQL's COPY: its server reads rows as they come, where an
// INSERT takes apart an array for each column, and fills pages at a time. It
// fails where an id or idempotency key is taken.
const (
	copyTransfers = `COPY transfers (id, tenant_id, ledger, type, state, reference, xid, idempotency_key, split_policy, chain_id, pended,
		sequence, hash, postings, created_at, ended_at, expires_at) FROM STDIN (FORMAT binary)`
	copyAllKeys = `COPY keys (tenant_id, idempotency_key, ledger, sequence) FROM STDIN (FORMAT binary)`
)

// How many columns those have.
const (
	copyColumns = 17
	keyColumns  = 4
)

// copyHeader opens the binary format: its signature, no flags, no extension.
const copyHeader = "PGCOPY\n\xff\r\n\x00" + "\x00\x00\x00\x00" + "\x00\x00\x00\x00"

// copyRows queues those of a batch's transfers that are rows.
func (q *queued) copyRows(l Ledger, w *written) {
	at := w.at.UnixMicro()
	q.copy(copyTransfers, len(w.rows), func(rows []byte, i int) []byte {
		return appendRow(rows, l, w.rows[i], w.postings[i], at)
	})
}

// copyKeys queues the idempotency keys of a batch's transfers.
func (q *queued) copyKeys(l Ledger, w *written) {
	q.copy(copyAllKeys, len(w.Added), func(rows []byte, i int) []byte {
		i = w.byKey[i]
		rows = binary.BigEndian.AppendUint16(rows, keyColumns)
		rows = appendColumn(rows, l.TenantID)
		rows = appendColumn(rows, w.Added[i].IdempotencyKey)
		return appendBigint(appendBigint(rows, l.Number), w.places[i])
	})
}

// copy queues n rows, which add appends.
func (q *queued) copy(sql string, n int, add func(rows []byte, i int) []byte) {
	c := q.add(sql)
	c.expect(n, &q.taken)
	c.data = func(rows []byte) []byte {
		rows = append(rows, copyHeader...)
		for i := range n {
			rows = add(rows, i)
		}
		return binary.BigEndian.AppendUint16(rows, 0xffff) // the end
	}
}

// appendRow appends a transfer in the binary format of COPY: the number of
// columns, and each column with its length.
func appendRow(row []byte, l Ledger, t *ledger.Transfer, postings string, at int64) []byte {
	row = binary.BigEndian.AppendUint16(row, copyColumns)
	row = appendColumn(row, t.ID)
	row = appendColumn(row, l.TenantID)
	row = appendBigint(row, l.Number)
	row = appendColumn(row, string(t.Type))
	row = appendInteger(row, int32(t.State))
	row = appendColumn(row, t.Reference)
	row = appendColumn(row, t.XID)
	row = appendColumn(row, t.IdempotencyKey)
	row = appendColumn(row, t.SplitPolicy)
	row = appendColumn(row, t.ChainID)
	row = appendInteger(row, flag(t.Pended))
	row = appendBigint(row, t.Sequence)
	hash := hashOf(t)
	row = append(binary.BigEndian.AppendUint32(row, uint32(len(hash))), hash...)
	row = appendColumn(row, postings)
	row = appendBigint(row, at)
	row = appendBigint(row, microsOf(t.EndedAt))
	return appendBigint(row, microsOf(t.ExpiresAt))
}

func appendColumn(row []byte, text string) []byte {
	return append(binary.BigEndian.AppendUint32(row, uint32(len(text))), text...)
}

func appendInteger(row []byte, n int32) []byte {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(row, 4), uint32(n))
}

func appendBigint(row []byte, n int64) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint32(row, 8), uint64(n))
}
