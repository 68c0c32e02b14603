-- AddAccount inserts nothing where the id, the owner's account or the number
-- exists.
-- name: AddAccount :execrows
INSERT INTO accounts (number, id, tenant_id, purpose, owner_id, currency, normal_side, overdraft, state, created_at)
VALUES (sqlc.arg(number), sqlc.arg(id), sqlc.arg(tenant_id), sqlc.arg(purpose), sqlc.arg(owner_id), sqlc.arg(currency),
    sqlc.arg(normal_side), sqlc.arg(overdraft), sqlc.arg(state), sqlc.arg(created_at))
ON CONFLICT DO NOTHING;

-- name: AddBalance :exec
INSERT INTO balances (account, debits_pending, credits_pending)
VALUES (sqlc.arg(account), 0, 0);

-- name: FindAccount :one
SELECT accounts.*,
    CAST(COALESCE((SELECT runs.debits FROM runs WHERE runs.account = accounts.number
        ORDER BY runs.at DESC, runs.sequence DESC LIMIT 1), 0) AS BIGINT) AS debits_posted,
    CAST(COALESCE((SELECT runs.credits FROM runs WHERE runs.account = accounts.number
        ORDER BY runs.at DESC, runs.sequence DESC LIMIT 1), 0) AS BIGINT) AS credits_posted,
    CAST(COALESCE((SELECT ledgers.sequence FROM ledgers WHERE ledgers.number = accounts.number / 4294967296), 0) AS BIGINT) AS head,
    CAST(COALESCE((SELECT ledgers.sorted_to FROM ledgers WHERE ledgers.number = accounts.number / 4294967296), 0) AS BIGINT) AS sorted_to,
    balances.debits_pending, balances.credits_pending
FROM accounts JOIN balances ON balances.account = accounts.number
WHERE accounts.tenant_id = sqlc.arg(tenant_id) AND accounts.owner_id = sqlc.arg(owner_id)
  AND accounts.purpose = sqlc.arg(purpose) AND accounts.currency = sqlc.arg(currency);

-- name: GetAccount :one
SELECT accounts.*,
    CAST(COALESCE((SELECT runs.debits FROM runs WHERE runs.account = accounts.number
        ORDER BY runs.at DESC, runs.sequence DESC LIMIT 1), 0) AS BIGINT) AS debits_posted,
    CAST(COALESCE((SELECT runs.credits FROM runs WHERE runs.account = accounts.number
        ORDER BY runs.at DESC, runs.sequence DESC LIMIT 1), 0) AS BIGINT) AS credits_posted,
    CAST(COALESCE((SELECT ledgers.sequence FROM ledgers WHERE ledgers.number = accounts.number / 4294967296), 0) AS BIGINT) AS head,
    CAST(COALESCE((SELECT ledgers.sorted_to FROM ledgers WHERE ledgers.number = accounts.number / 4294967296), 0) AS BIGINT) AS sorted_to,
    balances.debits_pending, balances.credits_pending
FROM accounts JOIN balances ON balances.account = accounts.number
WHERE accounts.tenant_id = sqlc.arg(tenant_id) AND accounts.id = sqlc.arg(id);

-- name: GetAccountByNumber :one
SELECT id, purpose, owner_id FROM accounts WHERE number = sqlc.arg(number);

-- ListAccounts gives one owner's accounts, or everybody's where all_owners
-- is 1, by id.
-- name: ListAccounts :many
SELECT accounts.*,
    CAST(COALESCE((SELECT runs.debits FROM runs WHERE runs.account = accounts.number
        ORDER BY runs.at DESC, runs.sequence DESC LIMIT 1), 0) AS BIGINT) AS debits_posted,
    CAST(COALESCE((SELECT runs.credits FROM runs WHERE runs.account = accounts.number
        ORDER BY runs.at DESC, runs.sequence DESC LIMIT 1), 0) AS BIGINT) AS credits_posted,
    CAST(COALESCE((SELECT ledgers.sequence FROM ledgers WHERE ledgers.number = accounts.number / 4294967296), 0) AS BIGINT) AS head,
    CAST(COALESCE((SELECT ledgers.sorted_to FROM ledgers WHERE ledgers.number = accounts.number / 4294967296), 0) AS BIGINT) AS sorted_to,
    balances.debits_pending, balances.credits_pending
FROM accounts JOIN balances ON balances.account = accounts.number
WHERE accounts.tenant_id = sqlc.arg(tenant_id) AND accounts.id > sqlc.arg(after_id)
  AND (CAST(sqlc.arg(all_owners) AS INTEGER) = 1 OR accounts.owner_id = sqlc.arg(owner_id))
ORDER BY accounts.id
LIMIT sqlc.arg(max_rows);

-- name: SetAccountState :execrows
UPDATE accounts SET state = sqlc.arg(state) WHERE tenant_id = sqlc.arg(tenant_id) AND id = sqlc.arg(id);

-- LockLedger takes the next version of a ledger, which holds it against other
-- writers until the end of the transaction. It gives no row where there is
-- no such ledger.
-- name: LockLedger :one
UPDATE ledgers SET version = version + 1
WHERE tenant_id = sqlc.arg(tenant_id) AND currency = sqlc.arg(currency)
RETURNING *;

-- AddLedger inserts nothing where the ledger exists, or its number was taken.
-- name: AddLedger :execrows
INSERT INTO ledgers (number, tenant_id, currency, version, accounts, sequence, hash, updated_at)
SELECT next.number, sqlc.arg(tenant_id), sqlc.arg(currency), 0, next.number * 4294967296, 0, sqlc.arg(genesis), 0
FROM (SELECT COALESCE(MAX(ledgers.number), 0) + 1 AS number FROM ledgers) AS next
WHERE NOT EXISTS (SELECT 1 FROM ledgers AS same WHERE same.tenant_id = sqlc.arg(tenant_id) AND same.currency = sqlc.arg(currency))
ON CONFLICT DO NOTHING;

-- MoveLedger writes what a batch has come to.
-- name: MoveLedger :execrows
UPDATE ledgers SET accounts = sqlc.arg(accounts), sequence = sqlc.arg(sequence), hash = sqlc.arg(hash), updated_at = sqlc.arg(updated_at),
    unsorted_moves = sqlc.arg(unsorted_moves), sorted_to = sqlc.arg(sorted_to), sorting_to = sqlc.arg(sorting_to),
    sorting_account = sqlc.arg(sorting_account), sorting_sequence = sqlc.arg(sorting_sequence)
WHERE number = sqlc.arg(number) AND version = sqlc.arg(version);

-- name: ListLedgers :many
SELECT * FROM ledgers WHERE tenant_id = sqlc.arg(tenant_id) ORDER BY currency;

-- name: GetLedger :one
SELECT * FROM ledgers WHERE tenant_id = sqlc.arg(tenant_id) AND currency = sqlc.arg(currency);

-- GetHead gives the end of a ledger's chain, and up to where all is sorted.
-- name: GetHead :one
SELECT sequence, sorted_to FROM ledgers WHERE number = sqlc.arg(number);
