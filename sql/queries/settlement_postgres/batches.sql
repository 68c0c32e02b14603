-- These read and write batches: the n-th elements of all arrays are one row.

-- FindAccounts looks for each by itself: a plan that was made while there were
-- few accounts, and is kept, would compare each of the wanted with all there are.
-- name: FindAccounts :many
SELECT accounts.*,
    CAST(COALESCE((SELECT runs.debits FROM runs WHERE runs.account = accounts.number
        ORDER BY runs.at DESC, runs.sequence DESC LIMIT 1), 0) AS BIGINT) AS debits_posted,
    CAST(COALESCE((SELECT runs.credits FROM runs WHERE runs.account = accounts.number
        ORDER BY runs.at DESC, runs.sequence DESC LIMIT 1), 0) AS BIGINT) AS credits_posted,
    CAST(COALESCE((SELECT ledgers.sequence FROM ledgers WHERE ledgers.number = accounts.number / 4294967296), 0) AS BIGINT) AS head,
    CAST(COALESCE((SELECT ledgers.sorted_to FROM ledgers WHERE ledgers.number = accounts.number / 4294967296), 0) AS BIGINT) AS sorted_to,
    balances.debits_pending, balances.credits_pending
FROM (SELECT unnest(sqlc.arg(owner_ids)::text[]) AS owner_id, unnest(sqlc.arg(purposes)::text[]) AS purpose) AS wanted
CROSS JOIN LATERAL (
    SELECT * FROM accounts AS one
    WHERE one.tenant_id = sqlc.arg(tenant_id) AND one.owner_id = wanted.owner_id
      AND one.purpose = wanted.purpose AND one.currency = sqlc.arg(currency)
    LIMIT 1
) AS accounts
JOIN balances ON balances.account = accounts.number;

-- name: GetAccounts :many
SELECT accounts.*,
    CAST(COALESCE((SELECT runs.debits FROM runs WHERE runs.account = accounts.number
        ORDER BY runs.at DESC, runs.sequence DESC LIMIT 1), 0) AS BIGINT) AS debits_posted,
    CAST(COALESCE((SELECT runs.credits FROM runs WHERE runs.account = accounts.number
        ORDER BY runs.at DESC, runs.sequence DESC LIMIT 1), 0) AS BIGINT) AS credits_posted,
    CAST(COALESCE((SELECT ledgers.sequence FROM ledgers WHERE ledgers.number = accounts.number / 4294967296), 0) AS BIGINT) AS head,
    CAST(COALESCE((SELECT ledgers.sorted_to FROM ledgers WHERE ledgers.number = accounts.number / 4294967296), 0) AS BIGINT) AS sorted_to,
    balances.debits_pending, balances.credits_pending
FROM accounts JOIN balances ON balances.account = accounts.number
WHERE accounts.tenant_id = sqlc.arg(tenant_id) AND accounts.id = ANY(sqlc.arg(ids)::text[]);

-- name: FindTransfers :many
SELECT transfers.*, ledgers.currency
FROM transfers JOIN ledgers ON ledgers.number = transfers.ledger
WHERE transfers.tenant_id = sqlc.arg(tenant_id) AND transfers.idempotency_key = ANY(sqlc.arg(keys)::text[]);

-- name: EndTransfers :execrows
UPDATE transfers SET state = ended.state, sequence = ended.sequence, hash = ended.hash, ended_at = sqlc.arg(at)::bigint
FROM (
    SELECT unnest(sqlc.arg(ids)::text[]) AS id, unnest(sqlc.arg(states)::int[]) AS state,
        unnest(sqlc.arg(sequences)::bigint[]) AS sequence, unnest(sqlc.arg(hashes)::bytea[]) AS hash
) AS ended
WHERE transfers.tenant_id = sqlc.arg(tenant_id) AND transfers.id = ended.id AND transfers.state = 1;

-- name: AddAccounts :execrows
INSERT INTO accounts (number, id, tenant_id, purpose, owner_id, currency, normal_side, overdraft, state, created_at)
SELECT unnest(sqlc.arg(numbers)::bigint[]), unnest(sqlc.arg(ids)::text[]), sqlc.arg(tenant_id)::text, unnest(sqlc.arg(purposes)::text[]),
    unnest(sqlc.arg(owner_ids)::text[]), sqlc.arg(currency)::text, unnest(sqlc.arg(normal_sides)::int[]),
    unnest(sqlc.arg(overdrafts)::int[]), unnest(sqlc.arg(states)::int[]), sqlc.arg(at)::bigint
ON CONFLICT DO NOTHING;

-- name: AddBalances :exec
INSERT INTO balances (account, debits_pending, credits_pending)
SELECT unnest(sqlc.arg(accounts)::bigint[]), 0, 0;

-- name: SetBalances :execrows
UPDATE balances SET debits_pending = changed.debits_pending, credits_pending = changed.credits_pending
FROM (
    SELECT unnest(sqlc.arg(accounts)::bigint[]) AS account,
        unnest(sqlc.arg(debits_pending)::bigint[]) AS debits_pending, unnest(sqlc.arg(credits_pending)::bigint[]) AS credits_pending
) AS changed
WHERE balances.account = changed.account;

-- name: AddRuns :exec
INSERT INTO runs (account, at, sequence, debits, credits, lines)
SELECT unnest(sqlc.arg(accounts)::bigint[]), unnest(sqlc.arg(at)::bigint[]), unnest(sqlc.arg(sequences)::bigint[]),
    unnest(sqlc.arg(debits)::bigint[]), unnest(sqlc.arg(credits)::bigint[]), unnest(sqlc.arg(lines)::bytea[]);

-- name: AddFacts :exec
INSERT INTO outbox (id, tenant_id, sequence, envelope, created_at, sent_at)
SELECT unnest(sqlc.arg(ids)::text[]), sqlc.arg(tenant_id)::text, sqlc.arg(at)::bigint, unnest(sqlc.arg(envelopes)::bytea[]),
    sqlc.arg(at)::bigint, 0;

-- name: MoveLedger :execrows
UPDATE ledgers SET accounts = sqlc.arg(accounts), sequence = sqlc.arg(sequence), hash = sqlc.arg(hash), updated_at = sqlc.arg(updated_at),
    unsorted_moves = sqlc.arg(unsorted_moves), sorted_to = sqlc.arg(sorted_to), sorting_to = sqlc.arg(sorting_to),
    sorting_account = sqlc.arg(sorting_account), sorting_sequence = sqlc.arg(sorting_sequence)
WHERE number = sqlc.arg(number) AND version = sqlc.arg(version);

-- name: AddBlocks :exec
INSERT INTO blocks (ledger, sequence, last_id, at, transfers)
SELECT sqlc.arg(ledger)::bigint, unnest(sqlc.arg(sequences)::bigint[]), unnest(sqlc.arg(last_ids)::text[]), sqlc.arg(at)::bigint,
    unnest(sqlc.arg(transfers)::bytea[]);

-- name: AddBlockReferences :exec
INSERT INTO block_references (tenant_id, reference, id, ledger, sequence)
SELECT sqlc.arg(tenant_id)::text, unnest(sqlc.arg(refs)::text[]), unnest(sqlc.arg(ids)::text[]), sqlc.arg(ledger)::bigint,
    unnest(sqlc.arg(sequences)::bigint[]);

-- name: FindPacked :many
SELECT ledger, sequence, idempotency_key FROM keys
WHERE tenant_id = sqlc.arg(tenant_id) AND idempotency_key = ANY(sqlc.arg(keys)::text[]) AND sequence > 0;
