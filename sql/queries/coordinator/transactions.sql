-- AddTransaction inserts nothing where the xid is known.
-- name: AddTransaction :execrows
INSERT INTO transactions (tenant_id, xid, mode, digest, branches, created_at, expires_at, records)
VALUES (sqlc.arg(tenant_id), sqlc.arg(xid), sqlc.arg(mode), sqlc.arg(digest), sqlc.arg(branches),
    sqlc.arg(created_at), sqlc.arg(expires_at), sqlc.arg(records))
ON CONFLICT (tenant_id, xid) DO NOTHING;

-- OpenTransaction gives one that was added its owner.
-- name: OpenTransaction :exec
INSERT INTO open_transactions (owner, created_at, tenant_id, xid)
VALUES (sqlc.arg(owner), sqlc.arg(created_at), sqlc.arg(tenant_id), sqlc.arg(xid));

-- AddEntry inserts nothing where the place in the log is taken, or the
-- transaction is another's or has ended.
-- name: AddEntry :execrows
INSERT INTO transaction_entries (tenant_id, xid, sequence, state, problem, occurred_at, records)
SELECT own.tenant_id, own.xid, CAST(sqlc.arg(sequence) AS INTEGER), CAST(sqlc.arg(state) AS INTEGER),
    CAST(sqlc.arg(problem) AS TEXT), CAST(sqlc.arg(occurred_at) AS BIGINT), sqlc.arg(records)
FROM open_transactions AS own
WHERE own.owner = sqlc.arg(owner) AND own.created_at = sqlc.arg(created_at)
  AND own.tenant_id = sqlc.arg(tenant_id) AND own.xid = sqlc.arg(xid)
ON CONFLICT (tenant_id, xid, sequence) DO NOTHING;

-- CloseTransaction notes that a transaction has ended.
-- name: CloseTransaction :exec
DELETE FROM open_transactions
WHERE owner = sqlc.arg(owner) AND created_at = sqlc.arg(created_at) AND tenant_id = sqlc.arg(tenant_id) AND xid = sqlc.arg(xid);

-- ParkTransaction notes that nobody drives a transaction.
-- name: ParkTransaction :exec
UPDATE open_transactions SET owner = ''
WHERE owner = sqlc.arg(owner) AND created_at = sqlc.arg(created_at) AND tenant_id = sqlc.arg(tenant_id) AND xid = sqlc.arg(xid);

-- AddFact adds to kit's outbox. Of a key that has one fact ever, any sequence
-- keeps the order.
-- name: AddFact :exec
INSERT INTO outbox (id, tenant_id, sequence, envelope, created_at, sent_at)
VALUES (sqlc.arg(id), sqlc.arg(tenant_id), sqlc.arg(sequence), sqlc.arg(envelope), sqlc.arg(created_at), 0);

-- ClaimTransaction makes a transaction the owner's that has not ended, to be
-- driven.
-- name: ClaimTransaction :execrows
UPDATE open_transactions SET owner = sqlc.arg(owner)
WHERE tenant_id = sqlc.arg(tenant_id) AND xid = sqlc.arg(xid) AND created_at = sqlc.arg(created_at);

-- GetOwner gives '' where nobody drives a transaction: it has ended or is
-- parked.
-- name: GetOwner :one
SELECT CAST(COALESCE(own.owner, '') AS TEXT) AS owner FROM transactions
LEFT JOIN open_transactions AS own
    ON own.created_at = transactions.created_at AND own.tenant_id = transactions.tenant_id AND own.xid = transactions.xid
WHERE transactions.tenant_id = sqlc.arg(tenant_id) AND transactions.xid = sqlc.arg(xid);

-- GetTransaction gives a row for each entry, in order, or one where there is
-- no entry yet: its sequence is 0.
-- name: GetTransaction :many
SELECT sqlc.embed(transactions), CAST(COALESCE(e.sequence, 0) AS INTEGER) AS sequence,
    CAST(COALESCE(e.state, 0) AS INTEGER) AS entry_state, CAST(COALESCE(e.problem, '') AS TEXT) AS entry_problem,
    CAST(COALESCE(e.occurred_at, 0) AS BIGINT) AS occurred_at, e.records AS entry_records
FROM transactions
LEFT JOIN transaction_entries AS e ON e.tenant_id = transactions.tenant_id AND e.xid = transactions.xid
WHERE transactions.tenant_id = sqlc.arg(tenant_id) AND transactions.xid = sqlc.arg(xid)
ORDER BY e.sequence;

-- ListUnfinished gives what an owner has to drive, oldest first, with rows as
-- GetTransaction's.
-- name: ListUnfinished :many
SELECT sqlc.embed(transactions), CAST(COALESCE(e.sequence, 0) AS INTEGER) AS sequence,
    CAST(COALESCE(e.state, 0) AS INTEGER) AS entry_state, CAST(COALESCE(e.problem, '') AS TEXT) AS entry_problem,
    CAST(COALESCE(e.occurred_at, 0) AS BIGINT) AS occurred_at, e.records AS entry_records
FROM transactions
LEFT JOIN transaction_entries AS e ON e.tenant_id = transactions.tenant_id AND e.xid = transactions.xid
WHERE (transactions.tenant_id, transactions.xid) IN (
    SELECT page.tenant_id, page.xid FROM open_transactions AS page
    WHERE page.owner = sqlc.arg(owner)
      AND (page.created_at, page.tenant_id, page.xid) > (CAST(sqlc.arg(after_created_at) AS BIGINT), CAST(sqlc.arg(after_tenant_id) AS TEXT), CAST(sqlc.arg(after_xid) AS TEXT))
    ORDER BY page.created_at, page.tenant_id, page.xid
    LIMIT sqlc.arg(max_rows)
)
ORDER BY transactions.created_at, transactions.tenant_id, transactions.xid, e.sequence;

-- ListTransactions gives those of a set of states, newest first, with rows as
-- GetTransaction's. states is a bit set: 1 << state.
-- name: ListTransactions :many
SELECT sqlc.embed(transactions), CAST(COALESCE(e.sequence, 0) AS INTEGER) AS sequence,
    CAST(COALESCE(e.state, 0) AS INTEGER) AS entry_state, CAST(COALESCE(e.problem, '') AS TEXT) AS entry_problem,
    CAST(COALESCE(e.occurred_at, 0) AS BIGINT) AS occurred_at, e.records AS entry_records
FROM transactions
LEFT JOIN transaction_entries AS e ON e.tenant_id = transactions.tenant_id AND e.xid = transactions.xid
WHERE transactions.tenant_id = sqlc.arg(tenant_id) AND transactions.xid IN (
    SELECT page.xid FROM transactions AS page
    WHERE page.tenant_id = sqlc.arg(tenant_id)
      AND (page.created_at, page.xid) < (CAST(sqlc.arg(before_created_at) AS BIGINT), CAST(sqlc.arg(before_xid) AS TEXT))
      AND ((CAST(sqlc.arg(states) AS BIGINT) >> CAST(COALESCE((
            SELECT latest.state FROM transaction_entries AS latest
            WHERE latest.tenant_id = page.tenant_id AND latest.xid = page.xid
            ORDER BY latest.sequence DESC LIMIT 1
        ), 1) AS INTEGER)) & 1) = 1
    ORDER BY page.created_at DESC, page.xid DESC
    LIMIT sqlc.arg(max_rows)
)
ORDER BY transactions.created_at DESC, transactions.xid DESC, e.sequence;

-- ListOpen is ListTransactions for states that are not the end: it does not
-- look through what has ended.
-- name: ListOpen :many
SELECT sqlc.embed(transactions), CAST(COALESCE(e.sequence, 0) AS INTEGER) AS sequence,
    CAST(COALESCE(e.state, 0) AS INTEGER) AS entry_state, CAST(COALESCE(e.problem, '') AS TEXT) AS entry_problem,
    CAST(COALESCE(e.occurred_at, 0) AS BIGINT) AS occurred_at, e.records AS entry_records
FROM transactions
LEFT JOIN transaction_entries AS e ON e.tenant_id = transactions.tenant_id AND e.xid = transactions.xid
WHERE transactions.tenant_id = sqlc.arg(tenant_id) AND transactions.xid IN (
    SELECT page.xid FROM open_transactions AS page
    WHERE page.tenant_id = sqlc.arg(tenant_id)
      AND (page.created_at, page.xid) < (CAST(sqlc.arg(before_created_at) AS BIGINT), CAST(sqlc.arg(before_xid) AS TEXT))
      AND ((CAST(sqlc.arg(states) AS BIGINT) >> CAST(COALESCE((
            SELECT latest.state FROM transaction_entries AS latest
            WHERE latest.tenant_id = page.tenant_id AND latest.xid = page.xid
            ORDER BY latest.sequence DESC LIMIT 1
        ), 1) AS INTEGER)) & 1) = 1
    ORDER BY page.created_at DESC, page.xid DESC
    LIMIT sqlc.arg(max_rows)
)
ORDER BY transactions.created_at DESC, transactions.xid DESC, e.sequence;

-- ListRecords gives the log of a transaction of before transaction_entries.
-- name: ListRecords :many
SELECT sequence, branch, phase, status, attempt, problem, occurred_at, content FROM transaction_log
WHERE tenant_id = sqlc.arg(tenant_id) AND xid = sqlc.arg(xid)
ORDER BY sequence;

-- ListEnded gives the oldest of those that ended before a time.
-- name: ListEnded :many
SELECT transactions.tenant_id, transactions.xid FROM transactions
WHERE transactions.created_at < sqlc.arg(before) AND (
    SELECT latest.state IN (3, 5) AND latest.occurred_at < sqlc.arg(before) FROM transaction_entries AS latest
    WHERE latest.tenant_id = transactions.tenant_id AND latest.xid = transactions.xid
    ORDER BY latest.sequence DESC LIMIT 1
)
ORDER BY transactions.created_at, transactions.xid, transactions.tenant_id
LIMIT sqlc.arg(max_rows);

-- name: RemoveTransaction :exec
DELETE FROM transactions WHERE tenant_id = sqlc.arg(tenant_id) AND xid = sqlc.arg(xid);

-- name: RemoveEntries :exec
DELETE FROM transaction_entries WHERE tenant_id = sqlc.arg(tenant_id) AND xid = sqlc.arg(xid);

-- name: RemoveRecords :exec
DELETE FROM transaction_log WHERE tenant_id = sqlc.arg(tenant_id) AND xid = sqlc.arg(xid);
