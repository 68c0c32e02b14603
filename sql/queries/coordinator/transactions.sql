-- AddTransaction inserts nothing where the xid is known.
-- name: AddTransaction :execrows
INSERT INTO transactions (tenant_id, xid, mode, state, owner, digest, branches, problem, created_at, updated_at, expires_at, records)
VALUES (sqlc.arg(tenant_id), sqlc.arg(xid), sqlc.arg(mode), sqlc.arg(state), sqlc.arg(owner), sqlc.arg(digest),
    sqlc.arg(branches), sqlc.arg(problem), sqlc.arg(created_at), sqlc.arg(updated_at), sqlc.arg(expires_at), sqlc.arg(records))
ON CONFLICT (tenant_id, xid) DO NOTHING;

-- AddEntry inserts nothing where the place in the log is taken, or the
-- transaction is another's.
-- name: AddEntry :execrows
INSERT INTO transaction_entries (tenant_id, xid, sequence, state, problem, occurred_at, records)
SELECT transactions.tenant_id, transactions.xid, CAST(sqlc.arg(sequence) AS INTEGER), CAST(sqlc.arg(state) AS INTEGER),
    CAST(sqlc.arg(problem) AS TEXT), CAST(sqlc.arg(occurred_at) AS BIGINT), sqlc.arg(records)
FROM transactions
WHERE transactions.tenant_id = sqlc.arg(tenant_id) AND transactions.xid = sqlc.arg(xid) AND transactions.owner = sqlc.arg(owner)
ON CONFLICT (tenant_id, xid, sequence) DO NOTHING;

-- RestTransaction notes that a transaction has ended or is parked.
-- name: RestTransaction :exec
UPDATE transactions SET state = sqlc.arg(state), problem = sqlc.arg(problem), updated_at = sqlc.arg(updated_at)
WHERE tenant_id = sqlc.arg(tenant_id) AND xid = sqlc.arg(xid);

-- AddFact adds to kit's outbox. Of a key that has one fact ever, any sequence
-- keeps the order.
-- name: AddFact :exec
INSERT INTO outbox (id, tenant_id, sequence, envelope, created_at, sent_at)
VALUES (sqlc.arg(id), sqlc.arg(tenant_id), sqlc.arg(sequence), sqlc.arg(envelope), sqlc.arg(created_at), 0);

-- ClaimTransaction makes a transaction the owner's that has not ended, to be
-- driven.
-- name: ClaimTransaction :execrows
UPDATE transactions SET owner = sqlc.arg(owner), state = 1
WHERE tenant_id = sqlc.arg(tenant_id) AND xid = sqlc.arg(xid) AND state NOT IN (3, 5);

-- name: GetOwner :one
SELECT owner FROM transactions WHERE tenant_id = sqlc.arg(tenant_id) AND xid = sqlc.arg(xid);

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
    SELECT page.tenant_id, page.xid FROM transactions AS page
    WHERE page.state IN (1, 2, 4) AND page.owner = sqlc.arg(owner)
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
      AND ((CAST(sqlc.arg(states) AS BIGINT) >> CAST(CASE WHEN page.state IN (3, 5, 6) THEN page.state ELSE COALESCE((
            SELECT latest.state FROM transaction_entries AS latest
            WHERE latest.tenant_id = page.tenant_id AND latest.xid = page.xid
            ORDER BY latest.sequence DESC LIMIT 1
        ), page.state) END AS INTEGER)) & 1) = 1
    ORDER BY page.created_at DESC, page.xid DESC
    LIMIT sqlc.arg(max_rows)
)
ORDER BY transactions.created_at DESC, transactions.xid DESC, e.sequence;

-- ListRecords gives the log of a transaction of before transaction_entries.
-- name: ListRecords :many
SELECT sequence, branch, phase, status, attempt, problem, occurred_at, content FROM transaction_log
WHERE tenant_id = sqlc.arg(tenant_id) AND xid = sqlc.arg(xid)
ORDER BY sequence;

-- RemoveEnded removes the longest ended of those that ended before a time,
-- after RemoveEndedEntries and RemoveEndedRecords in the same transaction.
-- name: RemoveEnded :execrows
DELETE FROM transactions WHERE (tenant_id, xid) IN (
    SELECT ended.tenant_id, ended.xid FROM transactions AS ended
    WHERE ended.state IN (3, 5) AND ended.updated_at < sqlc.arg(before)
    ORDER BY ended.updated_at, ended.tenant_id, ended.xid
    LIMIT sqlc.arg(max_rows)
);

-- name: RemoveEndedEntries :exec
DELETE FROM transaction_entries WHERE (tenant_id, xid) IN (
    SELECT ended.tenant_id, ended.xid FROM transactions AS ended
    WHERE ended.state IN (3, 5) AND ended.updated_at < sqlc.arg(before)
    ORDER BY ended.updated_at, ended.tenant_id, ended.xid
    LIMIT sqlc.arg(max_rows)
);

-- name: RemoveEndedRecords :exec
DELETE FROM transaction_log WHERE (tenant_id, xid) IN (
    SELECT ended.tenant_id, ended.xid FROM transactions AS ended
    WHERE ended.state IN (3, 5) AND ended.updated_at < sqlc.arg(before)
    ORDER BY ended.updated_at, ended.tenant_id, ended.xid
    LIMIT sqlc.arg(max_rows)
);
