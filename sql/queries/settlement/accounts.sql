-- AddAccount inserts nothing where the account exists.
-- name: AddAccount :execrows
INSERT INTO accounts (id, tenant_id, purpose, owner_id, currency, normal_side, overdraft,
    debits_posted, credits_posted, debits_pending, credits_pending, created_at)
VALUES (sqlc.arg(id), sqlc.arg(tenant_id), sqlc.arg(purpose), sqlc.arg(owner_id), sqlc.arg(currency),
    sqlc.arg(normal_side), sqlc.arg(overdraft), 0, 0, 0, 0, sqlc.arg(created_at))
ON CONFLICT (tenant_id, owner_id, purpose, currency) DO NOTHING;

-- name: FindAccount :one
SELECT * FROM accounts
WHERE tenant_id = sqlc.arg(tenant_id) AND owner_id = sqlc.arg(owner_id)
  AND purpose = sqlc.arg(purpose) AND currency = sqlc.arg(currency);

-- name: GetAccount :one
SELECT * FROM accounts WHERE tenant_id = sqlc.arg(tenant_id) AND id = sqlc.arg(id);

-- ListAccounts gives one owner's accounts, or everybody's where all_owners
-- is 1, by id.
-- name: ListAccounts :many
SELECT * FROM accounts
WHERE tenant_id = sqlc.arg(tenant_id) AND id > sqlc.arg(after_id)
  AND (CAST(sqlc.arg(all_owners) AS INTEGER) = 1 OR owner_id = sqlc.arg(owner_id))
ORDER BY id
LIMIT sqlc.arg(max_rows);

-- name: SetBalance :execrows
UPDATE accounts SET debits_posted = sqlc.arg(debits_posted), credits_posted = sqlc.arg(credits_posted),
    debits_pending = sqlc.arg(debits_pending), credits_pending = sqlc.arg(credits_pending)
WHERE tenant_id = sqlc.arg(tenant_id) AND id = sqlc.arg(id);

-- LockLedger gives the end of a ledger's chain and holds the ledger against
-- other writers until the end of the transaction. A new ledger begins at 0.
-- name: LockLedger :one
INSERT INTO ledgers (tenant_id, currency, sequence, hash, updated_at)
VALUES (sqlc.arg(tenant_id), sqlc.arg(currency), 0, sqlc.arg(genesis), sqlc.arg(now))
ON CONFLICT (tenant_id, currency) DO UPDATE SET updated_at = excluded.updated_at
RETURNING sequence, hash;

-- name: MoveLedger :execrows
UPDATE ledgers SET sequence = sqlc.arg(sequence), hash = sqlc.arg(hash), updated_at = sqlc.arg(now)
WHERE tenant_id = sqlc.arg(tenant_id) AND currency = sqlc.arg(currency) AND sequence = sqlc.arg(sequence) - 1;

-- name: ListLedgers :many
SELECT * FROM ledgers WHERE tenant_id = sqlc.arg(tenant_id) ORDER BY currency;
