-- These write batches: the n-th elements of all arrays are one row.

-- HoldFence keeps others from taking over the coordinator's work until the
-- transaction ends. It gives no row where that may have happened.
-- name: HoldFence :many
SELECT id FROM coordinators WHERE id = sqlc.arg(owner) AND lease_until > 0 FOR SHARE;

-- AddTransactions gives those that were not known. Behind HoldFence.
-- name: AddTransactions :many
INSERT INTO transactions (tenant_id, xid, mode, state, owner, digest, branches, problem, created_at, updated_at, expires_at, records)
SELECT unnest(sqlc.arg(tenant_ids)::text[]), unnest(sqlc.arg(xids)::text[]), unnest(sqlc.arg(modes)::int[]), 1,
    sqlc.arg(owner)::text, unnest(sqlc.arg(digests)::bytea[]), unnest(sqlc.arg(branches)::bytea[]), '',
    unnest(sqlc.arg(created_at)::bigint[]), unnest(sqlc.arg(created_at)::bigint[]), unnest(sqlc.arg(expires_at)::bigint[]),
    unnest(sqlc.arg(records)::bytea[])
FROM coordinators WHERE coordinators.id = sqlc.arg(owner)::text AND coordinators.lease_until > 0
ON CONFLICT (tenant_id, xid) DO NOTHING
RETURNING tenant_id, xid;

-- AddEntries gives those of the owner's transactions whose place in the log
-- was free. Of these it notes
-- the ends, and adds their facts to the outbox. Behind HoldFence.
-- name: AddEntries :many
WITH entry AS (
    SELECT unnest(sqlc.arg(tenant_ids)::text[]) AS tenant_id, unnest(sqlc.arg(xids)::text[]) AS xid,
        unnest(sqlc.arg(sequences)::int[]) AS sequence, unnest(sqlc.arg(states)::int[]) AS state,
        unnest(sqlc.arg(problems)::text[]) AS problem, unnest(sqlc.arg(occurred_at)::bigint[]) AS occurred_at,
        unnest(sqlc.arg(records)::bytea[]) AS records,
        unnest(sqlc.arg(fact_ids)::text[]) AS fact_id, unnest(sqlc.arg(facts)::bytea[]) AS fact
    FROM coordinators WHERE coordinators.id = sqlc.arg(owner)::text AND coordinators.lease_until > 0
), added AS (
    INSERT INTO transaction_entries (tenant_id, xid, sequence, state, problem, occurred_at, records)
    SELECT entry.tenant_id, entry.xid, entry.sequence, entry.state, entry.problem, entry.occurred_at, entry.records
    FROM entry JOIN transactions ON transactions.tenant_id = entry.tenant_id AND transactions.xid = entry.xid
    WHERE transactions.owner = sqlc.arg(owner)::text
    ON CONFLICT (tenant_id, xid, sequence) DO NOTHING
    RETURNING tenant_id, xid
), rested AS (
    UPDATE transactions SET state = entry.state, problem = entry.problem, updated_at = entry.occurred_at
    FROM entry JOIN added ON added.tenant_id = entry.tenant_id AND added.xid = entry.xid
    WHERE entry.state IN (3, 5, 6) AND transactions.tenant_id = entry.tenant_id AND transactions.xid = entry.xid
), told AS (
    INSERT INTO outbox (id, tenant_id, sequence, envelope, created_at, sent_at)
    SELECT entry.fact_id, entry.tenant_id, entry.occurred_at, entry.fact, entry.occurred_at, 0
    FROM entry JOIN added ON added.tenant_id = entry.tenant_id AND added.xid = entry.xid
    WHERE entry.fact_id <> ''
)
SELECT tenant_id, xid FROM added;
