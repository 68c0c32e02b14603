-- HoldFence keeps others from taking over the coordinator's work until the
-- transaction ends. It gives no row where that may have happened. These are
-- the statements of one batch: in each, the n-th elements of all arrays are
-- one row. Rows are found one by one by their keys, and plans are kept, which
-- were made when the tables were small: nothing but that may be planned. So
-- open_transactions, of which no more than its owner seems to be needed then,
-- is behind LIMIT, which keeps it from being joined in another way.
-- name: HoldFence :many
SELECT id, set_config('plan_cache_mode', 'force_generic_plan', true), set_config('enable_seqscan', 'off', true),
    set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true)
FROM coordinators WHERE id = sqlc.arg(owner) AND lease_until > 0 FOR SHARE;

-- AddTransactions gives those that were not known, and gives them their owner.
-- Behind HoldFence.
-- name: AddTransactions :many
WITH added AS (
    INSERT INTO transactions (tenant_id, xid, mode, digest, branches, created_at, expires_at, records)
    SELECT unnest(sqlc.arg(tenant_ids)::text[]), unnest(sqlc.arg(xids)::text[]), unnest(sqlc.arg(modes)::int[]),
        unnest(sqlc.arg(digests)::bytea[]), unnest(sqlc.arg(branches)::bytea[]), unnest(sqlc.arg(created_at)::bigint[]),
        unnest(sqlc.arg(expires_at)::bigint[]), unnest(sqlc.arg(records)::bytea[])
    FROM coordinators WHERE coordinators.id = sqlc.arg(owner)::text AND coordinators.lease_until > 0
    ON CONFLICT (tenant_id, xid) DO NOTHING
    RETURNING transactions.created_at, transactions.tenant_id, transactions.xid
)
INSERT INTO open_transactions (owner, created_at, tenant_id, xid)
SELECT sqlc.arg(owner)::text, added.created_at, added.tenant_id, added.xid FROM added
RETURNING tenant_id, xid;

-- AddEntries gives those of the owner's transactions whose place in the log
-- was free. Behind HoldFence.
-- name: AddEntries :many
INSERT INTO transaction_entries (tenant_id, xid, sequence, state, problem, occurred_at, records)
SELECT entry.tenant_id, entry.xid, entry.sequence, entry.state, entry.problem, entry.occurred_at, entry.records
FROM (
    SELECT unnest(sqlc.arg(created_at)::bigint[]) AS created_at, unnest(sqlc.arg(tenant_ids)::text[]) AS tenant_id,
        unnest(sqlc.arg(xids)::text[]) AS xid, unnest(sqlc.arg(sequences)::int[]) AS sequence, unnest(sqlc.arg(states)::int[]) AS state,
        unnest(sqlc.arg(problems)::text[]) AS problem, unnest(sqlc.arg(occurred_at)::bigint[]) AS occurred_at,
        unnest(sqlc.arg(records)::bytea[]) AS records
    FROM coordinators WHERE coordinators.id = sqlc.arg(owner)::text AND coordinators.lease_until > 0
) AS entry
CROSS JOIN LATERAL (
    SELECT 1 FROM open_transactions AS open
    WHERE open.owner = sqlc.arg(owner)::text AND open.created_at = entry.created_at AND open.tenant_id = entry.tenant_id AND open.xid = entry.xid
    LIMIT 1
) AS own
ON CONFLICT (tenant_id, xid, sequence) DO NOTHING
RETURNING tenant_id, xid;

-- CloseTransactions notes that transactions have ended by entries that
-- AddEntries has added: an entry that found its place taken is not of this
-- transaction.
-- name: CloseTransactions :exec
DELETE FROM open_transactions WHERE ctid = ANY (ARRAY (
    SELECT own.ctid FROM (
        SELECT unnest(sqlc.arg(created_at)::bigint[]) AS created_at, unnest(sqlc.arg(tenant_ids)::text[]) AS tenant_id,
            unnest(sqlc.arg(xids)::text[]) AS xid, unnest(sqlc.arg(sequences)::int[]) AS sequence
    ) AS rest
    CROSS JOIN LATERAL (
        SELECT 1 FROM transaction_entries AS entry
        WHERE entry.tenant_id = rest.tenant_id AND entry.xid = rest.xid AND entry.sequence = rest.sequence
            AND entry.xmin = pg_current_xact_id()::xid
        LIMIT 1
    ) AS added
    CROSS JOIN LATERAL (
        SELECT open.ctid FROM open_transactions AS open
        WHERE open.owner = sqlc.arg(owner)::text AND open.created_at = rest.created_at AND open.tenant_id = rest.tenant_id AND open.xid = rest.xid
        LIMIT 1
    ) AS own
));

-- ParkTransactions notes that nobody drives transactions any more, by entries
-- that AddEntries has added.
-- name: ParkTransactions :exec
UPDATE open_transactions SET owner = '' WHERE ctid = ANY (ARRAY (
    SELECT own.ctid FROM (
        SELECT unnest(sqlc.arg(created_at)::bigint[]) AS created_at, unnest(sqlc.arg(tenant_ids)::text[]) AS tenant_id,
            unnest(sqlc.arg(xids)::text[]) AS xid, unnest(sqlc.arg(sequences)::int[]) AS sequence
    ) AS rest
    CROSS JOIN LATERAL (
        SELECT 1 FROM transaction_entries AS entry
        WHERE entry.tenant_id = rest.tenant_id AND entry.xid = rest.xid AND entry.sequence = rest.sequence
            AND entry.xmin = pg_current_xact_id()::xid
        LIMIT 1
    ) AS added
    CROSS JOIN LATERAL (
        SELECT open.ctid FROM open_transactions AS open
        WHERE open.owner = sqlc.arg(owner)::text AND open.created_at = rest.created_at AND open.tenant_id = rest.tenant_id AND open.xid = rest.xid
        LIMIT 1
    ) AS own
));

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

-- RemoveEnded removes the oldest of those that ended before a time.
-- name: RemoveEnded :execrows
WITH ended AS (
    SELECT transactions.tenant_id, transactions.xid FROM transactions
    WHERE transactions.created_at < sqlc.arg(before)::bigint AND (
        SELECT latest.state IN (3, 5) AND latest.occurred_at < sqlc.arg(before)::bigint FROM transaction_entries AS latest
        WHERE latest.tenant_id = transactions.tenant_id AND latest.xid = transactions.xid
        ORDER BY latest.sequence DESC LIMIT 1
    )
    ORDER BY transactions.created_at, transactions.xid, transactions.tenant_id
    LIMIT sqlc.arg(max_rows)
), records AS (
    DELETE FROM transaction_log USING ended WHERE transaction_log.tenant_id = ended.tenant_id AND transaction_log.xid = ended.xid
), entries AS (
    DELETE FROM transaction_entries USING ended WHERE transaction_entries.tenant_id = ended.tenant_id AND transaction_entries.xid = ended.xid
)
DELETE FROM transactions USING ended WHERE transactions.tenant_id = ended.tenant_id AND transactions.xid = ended.xid;
