-- AddTransaction inserts nothing where the xid is known.
-- name: AddTransaction :execrows
INSERT INTO transactions (tenant_id, xid, mode, state, owner, digest, branches, problem, created_at, updated_at, expires_at)
VALUES (sqlc.arg(tenant_id), sqlc.arg(xid), sqlc.arg(mode), sqlc.arg(state), sqlc.arg(owner), sqlc.arg(digest),
    sqlc.arg(branches), sqlc.arg(problem), sqlc.arg(created_at), sqlc.arg(updated_at), sqlc.arg(expires_at))
ON CONFLICT (tenant_id, xid) DO NOTHING;

-- MoveTransaction changes nothing where the transaction is not the owner's.
-- name: MoveTransaction :execrows
UPDATE transactions SET state = sqlc.arg(state), problem = sqlc.arg(problem), updated_at = sqlc.arg(updated_at)
WHERE tenant_id = sqlc.arg(tenant_id) AND xid = sqlc.arg(xid) AND owner = sqlc.arg(owner);

-- ClaimTransaction makes a transaction the owner's that has not ended, and
-- whose log ends with last_sequence.
-- name: ClaimTransaction :execrows
UPDATE transactions SET owner = sqlc.arg(owner)
WHERE transactions.tenant_id = sqlc.arg(tenant_id) AND transactions.xid = sqlc.arg(xid) AND state NOT IN (3, 5)
  AND CAST(sqlc.arg(last_sequence) AS BIGINT) = (
    SELECT COALESCE(MAX(transaction_log.sequence), 0) FROM transaction_log
    WHERE transaction_log.tenant_id = sqlc.arg(tenant_id) AND transaction_log.xid = sqlc.arg(xid)
  );

-- name: GetTransaction :one
SELECT * FROM transactions WHERE tenant_id = sqlc.arg(tenant_id) AND xid = sqlc.arg(xid);

-- ListUnfinished gives what an owner has to drive, oldest first.
-- name: ListUnfinished :many
SELECT * FROM transactions
WHERE state IN (1, 2, 4) AND owner = sqlc.arg(owner)
  AND (created_at, tenant_id, xid) > (CAST(sqlc.arg(after_created_at) AS BIGINT), CAST(sqlc.arg(after_tenant_id) AS TEXT), CAST(sqlc.arg(after_xid) AS TEXT))
ORDER BY created_at, tenant_id, xid
LIMIT sqlc.arg(max_rows);

-- ListTransactions gives those of a set of states, newest first. states is
-- a bit set: 1 << state.
-- name: ListTransactions :many
SELECT * FROM transactions
WHERE tenant_id = sqlc.arg(tenant_id)
  AND (created_at, xid) < (CAST(sqlc.arg(before_created_at) AS BIGINT), CAST(sqlc.arg(before_xid) AS TEXT))
  AND ((CAST(sqlc.arg(states) AS BIGINT) >> CAST(state AS INTEGER)) & 1) = 1
ORDER BY created_at DESC, xid DESC
LIMIT sqlc.arg(max_rows);

-- name: AddRecord :exec
INSERT INTO transaction_log (tenant_id, xid, sequence, branch, phase, status, attempt, problem, occurred_at, content)
VALUES (sqlc.arg(tenant_id), sqlc.arg(xid), sqlc.arg(sequence), sqlc.arg(branch), sqlc.arg(phase), sqlc.arg(status),
    sqlc.arg(attempt), sqlc.arg(problem), sqlc.arg(occurred_at), sqlc.arg(content));

-- name: ListRecords :many
SELECT sequence, branch, phase, status, attempt, problem, occurred_at, content FROM transaction_log
WHERE tenant_id = sqlc.arg(tenant_id) AND xid = sqlc.arg(xid)
ORDER BY sequence;
