-- name: AddTransfer :exec
INSERT INTO transfers (id, tenant_id, currency, type, state, reference, xid, idempotency_key, split_policy,
    sequence, hash, created_at, ended_at)
VALUES (sqlc.arg(id), sqlc.arg(tenant_id), sqlc.arg(currency), sqlc.arg(type), sqlc.arg(state), sqlc.arg(reference),
    sqlc.arg(xid), sqlc.arg(idempotency_key), sqlc.arg(split_policy), sqlc.arg(sequence), sqlc.arg(hash),
    sqlc.arg(created_at), sqlc.arg(ended_at));

-- name: AddPosting :exec
INSERT INTO postings (transfer_id, line, tenant_id, account_id, side, amount)
VALUES (sqlc.arg(transfer_id), sqlc.arg(line), sqlc.arg(tenant_id), sqlc.arg(account_id), sqlc.arg(side), sqlc.arg(amount));

-- EndTransfer posts or voids; it changes nothing where the transfer is not
-- pending.
-- name: EndTransfer :execrows
UPDATE transfers SET state = sqlc.arg(state), sequence = sqlc.arg(sequence), hash = sqlc.arg(hash), ended_at = sqlc.arg(ended_at)
WHERE tenant_id = sqlc.arg(tenant_id) AND id = sqlc.arg(id) AND state = 1;

-- name: GetTransfer :one
SELECT * FROM transfers WHERE tenant_id = sqlc.arg(tenant_id) AND id = sqlc.arg(id);

-- name: FindTransfer :one
SELECT * FROM transfers WHERE tenant_id = sqlc.arg(tenant_id) AND idempotency_key = sqlc.arg(idempotency_key);

-- name: ListPostings :many
SELECT postings.line, postings.account_id, postings.side, postings.amount, accounts.purpose, accounts.owner_id
FROM postings JOIN accounts ON accounts.id = postings.account_id
WHERE postings.tenant_id = sqlc.arg(tenant_id) AND postings.transfer_id = sqlc.arg(transfer_id)
ORDER BY postings.line;

-- ListTransfers gives those of one reference, or all where all_references
-- is 1, by id.
-- name: ListTransfers :many
SELECT * FROM transfers
WHERE tenant_id = sqlc.arg(tenant_id) AND id > sqlc.arg(after_id)
  AND (CAST(sqlc.arg(all_references) AS INTEGER) = 1 OR reference = sqlc.arg(reference))
ORDER BY id
LIMIT sqlc.arg(max_rows);

-- ListChain gives a ledger's posted transfers in the order of its chain.
-- name: ListChain :many
SELECT * FROM transfers
WHERE tenant_id = sqlc.arg(tenant_id) AND currency = sqlc.arg(currency) AND sequence > 0
  AND sequence > sqlc.arg(after_sequence)
ORDER BY sequence
LIMIT sqlc.arg(max_rows);

-- ListChainPostings gives the lines of a part of the chain.
-- name: ListChainPostings :many
SELECT postings.transfer_id, postings.account_id, postings.side, postings.amount
FROM postings JOIN transfers ON transfers.id = postings.transfer_id
WHERE transfers.tenant_id = sqlc.arg(tenant_id) AND transfers.currency = sqlc.arg(currency) AND transfers.sequence > 0
  AND transfers.sequence > sqlc.arg(after_sequence) AND transfers.sequence <= sqlc.arg(last_sequence)
ORDER BY transfers.sequence, postings.line;

-- name: ListPending :many
SELECT * FROM transfers
WHERE tenant_id = sqlc.arg(tenant_id) AND currency = sqlc.arg(currency) AND state = 1 AND id > sqlc.arg(after_id)
ORDER BY id
LIMIT sqlc.arg(max_rows);

-- ListPendingOfType gives pending transfers of every tenant, by id.
-- name: ListPendingOfType :many
SELECT * FROM transfers
WHERE state = 1 AND type = sqlc.arg(type) AND id > sqlc.arg(after_id)
ORDER BY id
LIMIT sqlc.arg(max_rows);
