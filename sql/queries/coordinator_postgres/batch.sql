-- HoldFence keeps others from taking over the coordinator's work until the
-- transaction ends. It gives no row where that may have happened. These are
-- the statements of one batch: in each, the n-th elements of all arrays are
-- one row. Rows are found one by one by their keys, and plans are kept, which
-- were made when the tables were small: nothing but that may be planned.
-- name: HoldFence :many
SELECT id, set_config('plan_cache_mode', 'force_generic_plan', true), set_config('enable_seqscan', 'off', true),
    set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true)
FROM coordinators WHERE id = sqlc.arg(owner) AND lease_until > 0 FOR SHARE;

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
-- was free. Behind HoldFence.
-- name: AddEntries :many
INSERT INTO transaction_entries (tenant_id, xid, sequence, state, problem, occurred_at, records)
SELECT entry.tenant_id, entry.xid, entry.sequence, entry.state, entry.problem, entry.occurred_at, entry.records
FROM (
    SELECT unnest(sqlc.arg(tenant_ids)::text[]) AS tenant_id, unnest(sqlc.arg(xids)::text[]) AS xid,
        unnest(sqlc.arg(sequences)::int[]) AS sequence, unnest(sqlc.arg(states)::int[]) AS state,
        unnest(sqlc.arg(problems)::text[]) AS problem, unnest(sqlc.arg(occurred_at)::bigint[]) AS occurred_at,
        unnest(sqlc.arg(records)::bytea[]) AS records
    FROM coordinators WHERE coordinators.id = sqlc.arg(owner)::text AND coordinators.lease_until > 0
) AS entry
JOIN transactions ON transactions.tenant_id = entry.tenant_id AND transactions.xid = entry.xid
WHERE transactions.owner = sqlc.arg(owner)::text
ON CONFLICT (tenant_id, xid, sequence) DO NOTHING
RETURNING tenant_id, xid;

-- RestTransactions notes that transactions have ended or are parked, by
-- entries that AddEntries has added: an entry that found its place taken is not
-- of this transaction.
-- name: RestTransactions :exec
UPDATE transactions SET state = entry.state, problem = entry.problem, updated_at = entry.occurred_at
FROM (
    SELECT unnest(sqlc.arg(tenant_ids)::text[]) AS tenant_id, unnest(sqlc.arg(xids)::text[]) AS xid,
        unnest(sqlc.arg(sequences)::int[]) AS sequence
) AS rest
JOIN transaction_entries AS entry ON entry.tenant_id = rest.tenant_id AND entry.xid = rest.xid AND entry.sequence = rest.sequence
    AND entry.xmin = pg_current_xact_id()::xid
WHERE transactions.tenant_id = rest.tenant_id AND transactions.xid = rest.xid AND transactions.owner = sqlc.arg(owner)::text;

-- AddFacts adds to kit's outbox the facts of transactions that have ended by
-- entries that AddEntries has added: those of one bundle, which are of one
-- tenant, in one row.
-- name: AddFacts :exec
INSERT INTO outbox (id, tenant_id, sequence, envelope, created_at, sent_at)
SELECT min(fact.id), min(fact.tenant_id), min(entry.occurred_at),
    sqlc.arg(beginning)::bytea || string_agg(fact.part, ''::bytea), min(entry.occurred_at), 0
FROM (
    SELECT unnest(sqlc.arg(ids)::text[]) AS id, unnest(sqlc.arg(tenant_ids)::text[]) AS tenant_id, unnest(sqlc.arg(xids)::text[]) AS xid,
        unnest(sqlc.arg(sequences)::int[]) AS sequence, unnest(sqlc.arg(bundles)::int[]) AS bundle,
        unnest(sqlc.arg(parts)::bytea[]) AS part
) AS fact
JOIN transaction_entries AS entry ON entry.tenant_id = fact.tenant_id AND entry.xid = fact.xid AND entry.sequence = fact.sequence
    AND entry.xmin = pg_current_xact_id()::xid
GROUP BY fact.bundle;
