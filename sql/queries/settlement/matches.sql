-- name: GetMatch :one
SELECT * FROM matches WHERE tenant_id = sqlc.arg(tenant_id) AND xid = sqlc.arg(xid);

-- name: PutMatch :exec
INSERT INTO matches (tenant_id, xid, status, order_id, order_state, order_amount, order_currency, transaction_state,
    transfer_id, transfer_reference, transfer_amount, transfer_currency, kinds, first_seen_at, updated_at,
    found_at, closed_at, closed_by, reason)
VALUES (sqlc.arg(tenant_id), sqlc.arg(xid), sqlc.arg(status), sqlc.arg(order_id), sqlc.arg(order_state), sqlc.arg(order_amount),
    sqlc.arg(order_currency), sqlc.arg(transaction_state), sqlc.arg(transfer_id), sqlc.arg(transfer_reference),
    sqlc.arg(transfer_amount), sqlc.arg(transfer_currency), sqlc.arg(kinds), sqlc.arg(first_seen_at), sqlc.arg(updated_at),
    sqlc.arg(found_at), sqlc.arg(closed_at), sqlc.arg(closed_by), sqlc.arg(reason))
ON CONFLICT (tenant_id, xid) DO UPDATE SET status = excluded.status, order_id = excluded.order_id,
    order_state = excluded.order_state, order_amount = excluded.order_amount, order_currency = excluded.order_currency,
    transaction_state = excluded.transaction_state, transfer_id = excluded.transfer_id,
    transfer_reference = excluded.transfer_reference, transfer_amount = excluded.transfer_amount,
    transfer_currency = excluded.transfer_currency, kinds = excluded.kinds, updated_at = excluded.updated_at,
    found_at = excluded.found_at, closed_at = excluded.closed_at, closed_by = excluded.closed_by, reason = excluded.reason;

-- ListWaitingMatches gives those that have waited since before a time, of
-- every tenant, the oldest first.
-- name: ListWaitingMatches :many
SELECT tenant_id, xid FROM matches
WHERE status = 1 AND first_seen_at <= sqlc.arg(before)
ORDER BY first_seen_at
LIMIT sqlc.arg(max_rows);

-- name: CountMatches :one
SELECT COUNT(*) FROM matches WHERE status = sqlc.arg(status);

-- name: CountWaitingOf :one
SELECT COUNT(*) FROM matches WHERE status = 1 AND tenant_id = sqlc.arg(tenant_id);

-- OldestWaiting is when the oldest that waits was first heard of; 0 for none.
-- name: OldestWaiting :one
SELECT CAST(COALESCE(MIN(first_seen_at), 0) AS BIGINT) FROM matches WHERE status = 1;

-- ListDifferences gives what differs, and with closed what did, by time.
-- name: ListDifferences :many
SELECT * FROM matches
WHERE tenant_id = sqlc.arg(tenant_id) AND status >= 3 AND (status = 3 OR CAST(sqlc.arg(closed) AS INTEGER) = 1)
  AND (found_at > sqlc.arg(after_time) OR found_at = sqlc.arg(after_time) AND xid > sqlc.arg(after_xid))
ORDER BY found_at, xid
LIMIT sqlc.arg(max_rows);

-- PurgeMatches forgets what has agreed for long, and differences that were
-- closed long ago.
-- name: PurgeMatches :execrows
DELETE FROM matches WHERE (tenant_id, xid) IN (
    SELECT old.tenant_id, old.xid FROM matches AS old
    WHERE old.status = 2 AND old.updated_at < sqlc.arg(before) OR old.status = 4 AND old.updated_at < sqlc.arg(closed_before)
    ORDER BY old.updated_at LIMIT sqlc.arg(max_rows)
);

-- HasBranch tells whether a global transaction has a branch here.
-- name: HasBranch :one
SELECT COUNT(*) FROM tcc_barrier WHERE tenant_id = sqlc.arg(tenant_id) AND xid = sqlc.arg(xid);
