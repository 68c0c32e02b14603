-- AddPayoutBatch inserts nothing where the key is taken.
-- name: AddPayoutBatch :execrows
INSERT INTO payout_batches (id, tenant_id, currency, state, minimum, idempotency_key, created_at, updated_at)
VALUES (sqlc.arg(id), sqlc.arg(tenant_id), sqlc.arg(currency), 1, sqlc.arg(minimum), sqlc.arg(idempotency_key),
    sqlc.arg(now), sqlc.arg(now))
ON CONFLICT (tenant_id, idempotency_key) DO NOTHING;

-- name: AddPayout :exec
INSERT INTO payouts (id, tenant_id, batch_id, owner_id, amount, state, problem, transfer_id, updated_at)
VALUES (sqlc.arg(id), sqlc.arg(tenant_id), sqlc.arg(batch_id), sqlc.arg(owner_id), sqlc.arg(amount), 1, '', '', sqlc.arg(now));

-- name: GetPayoutBatch :one
SELECT * FROM payout_batches WHERE tenant_id = sqlc.arg(tenant_id) AND id = sqlc.arg(id);

-- name: FindPayoutBatch :one
SELECT * FROM payout_batches WHERE tenant_id = sqlc.arg(tenant_id) AND idempotency_key = sqlc.arg(idempotency_key);

-- ListPayoutBatches gives batches before an id, the newest first.
-- name: ListPayoutBatches :many
SELECT * FROM payout_batches
WHERE tenant_id = sqlc.arg(tenant_id) AND id < sqlc.arg(before_id)
ORDER BY id DESC
LIMIT sqlc.arg(max_rows);

-- MovePayoutBatch changes nothing where the batch is in another state.
-- name: MovePayoutBatch :execrows
UPDATE payout_batches SET state = sqlc.arg(next_state), updated_at = sqlc.arg(now)
WHERE tenant_id = sqlc.arg(tenant_id) AND id = sqlc.arg(id) AND state = sqlc.arg(state);

-- SumPayouts counts and sums a batch's payouts by state.
-- name: SumPayouts :many
SELECT state, COUNT(*) AS payouts, CAST(SUM(amount) AS BIGINT) AS amount
FROM payouts WHERE batch_id = sqlc.arg(batch_id)
GROUP BY state ORDER BY state;

-- name: GetPayout :one
SELECT * FROM payouts WHERE tenant_id = sqlc.arg(tenant_id) AND id = sqlc.arg(id);

-- name: ListPayouts :many
SELECT * FROM payouts
WHERE tenant_id = sqlc.arg(tenant_id) AND batch_id = sqlc.arg(batch_id) AND id > sqlc.arg(after_id)
ORDER BY id
LIMIT sqlc.arg(max_rows);

-- MovePayout changes nothing where the payout is in another state.
-- name: MovePayout :execrows
UPDATE payouts SET state = sqlc.arg(next_state), problem = sqlc.arg(problem), transfer_id = sqlc.arg(transfer_id),
    updated_at = sqlc.arg(now)
WHERE tenant_id = sqlc.arg(tenant_id) AND id = sqlc.arg(id) AND state = sqlc.arg(state);

-- ListUnfinishedBatches gives batches of every tenant with payouts that are
-- not at their end, drafts left out.
-- name: ListUnfinishedBatches :many
SELECT * FROM payout_batches
WHERE payout_batches.id > sqlc.arg(after_id) AND (payout_batches.state IN (2, 3) OR payout_batches.state = 5 AND EXISTS (
    SELECT 1 FROM payouts WHERE payouts.batch_id = payout_batches.id AND payouts.state < 4))
ORDER BY payout_batches.id
LIMIT sqlc.arg(max_rows);

-- ListAccountsOf gives a tenant's accounts for one purpose in one currency.
-- name: ListAccountsOf :many
SELECT accounts.*,
    CAST(COALESCE((SELECT runs.debits FROM runs WHERE runs.account = accounts.number
        ORDER BY runs.at DESC, runs.sequence DESC LIMIT 1), 0) AS BIGINT) AS debits_posted,
    CAST(COALESCE((SELECT runs.credits FROM runs WHERE runs.account = accounts.number
        ORDER BY runs.at DESC, runs.sequence DESC LIMIT 1), 0) AS BIGINT) AS credits_posted,
    CAST(COALESCE((SELECT ledgers.sequence FROM ledgers WHERE ledgers.number = accounts.number / 4294967296), 0) AS BIGINT) AS head,
    CAST(COALESCE((SELECT ledgers.sorted_to FROM ledgers WHERE ledgers.number = accounts.number / 4294967296), 0) AS BIGINT) AS sorted_to,
    balances.debits_pending, balances.credits_pending
FROM accounts JOIN balances ON balances.account = accounts.number
WHERE accounts.tenant_id = sqlc.arg(tenant_id) AND accounts.purpose = sqlc.arg(purpose) AND accounts.currency = sqlc.arg(currency)
  AND accounts.id > sqlc.arg(after_id)
ORDER BY accounts.id
LIMIT sqlc.arg(max_rows);
