-- AddTransfer inserts nothing where the id or the idempotency key is taken.
-- name: AddTransfer :execrows
INSERT INTO transfers (id, tenant_id, ledger, type, state, reference, xid, idempotency_key, split_policy, chain_id, pended,
    sequence, hash, postings, created_at, ended_at, expires_at)
VALUES (sqlc.arg(id), sqlc.arg(tenant_id), sqlc.arg(ledger), sqlc.arg(type), sqlc.arg(state), sqlc.arg(reference), sqlc.arg(xid),
    sqlc.arg(idempotency_key), sqlc.arg(split_policy), sqlc.arg(chain_id), sqlc.arg(pended), sqlc.arg(sequence), sqlc.arg(hash),
    sqlc.arg(postings), sqlc.arg(created_at), sqlc.arg(ended_at), sqlc.arg(expires_at))
ON CONFLICT DO NOTHING;

-- EndTransfer posts or voids; it changes nothing where the transfer is not
-- pending.
-- name: EndTransfer :execrows
UPDATE transfers SET state = sqlc.arg(state), sequence = sqlc.arg(sequence), hash = sqlc.arg(hash), ended_at = sqlc.arg(ended_at)
WHERE tenant_id = sqlc.arg(tenant_id) AND id = sqlc.arg(id) AND state = 1;

-- name: GetTransfer :one
SELECT transfers.*, ledgers.currency FROM transfers JOIN ledgers ON ledgers.number = transfers.ledger
WHERE transfers.tenant_id = sqlc.arg(tenant_id) AND transfers.id = sqlc.arg(id);

-- name: FindTransfer :one
SELECT transfers.*, ledgers.currency FROM transfers JOIN ledgers ON ledgers.number = transfers.ledger
WHERE transfers.tenant_id = sqlc.arg(tenant_id) AND transfers.idempotency_key = sqlc.arg(idempotency_key);

-- ListLinked gives the transfers that were linked, in their order.
-- name: ListLinked :many
SELECT transfers.*, ledgers.currency FROM transfers JOIN ledgers ON ledgers.number = transfers.ledger
WHERE transfers.tenant_id = sqlc.arg(tenant_id) AND transfers.chain_id = sqlc.arg(chain_id) AND transfers.chain_id <> ''
ORDER BY transfers.id;

-- ListTransfers gives a tenant's transfers by id.
-- name: ListTransfers :many
SELECT transfers.*, ledgers.currency FROM transfers JOIN ledgers ON ledgers.number = transfers.ledger
WHERE transfers.tenant_id = sqlc.arg(tenant_id) AND transfers.id > sqlc.arg(after_id)
ORDER BY transfers.id
LIMIT sqlc.arg(max_rows);

-- ListTransfersOf gives those of one reference, by id.
-- name: ListTransfersOf :many
SELECT transfers.*, ledgers.currency FROM transfers JOIN ledgers ON ledgers.number = transfers.ledger
WHERE transfers.tenant_id = sqlc.arg(tenant_id) AND transfers.reference = sqlc.arg(reference) AND transfers.reference <> ''
  AND transfers.id > sqlc.arg(after_id)
ORDER BY transfers.id
LIMIT sqlc.arg(max_rows);

-- ListChain gives a ledger's posted transfers in the order of its chain. SQLite
-- seeks by the first of the two bounds: it must be the one that moves.
-- name: ListChain :many
SELECT transfers.*, ledgers.currency FROM transfers JOIN ledgers ON ledgers.number = transfers.ledger
WHERE transfers.ledger = sqlc.arg(ledger) AND transfers.sequence > sqlc.arg(after_sequence) AND transfers.sequence > 0
ORDER BY transfers.sequence
LIMIT sqlc.arg(max_rows);

-- name: ListPending :many
SELECT transfers.*, ledgers.currency FROM transfers JOIN ledgers ON ledgers.number = transfers.ledger
WHERE transfers.ledger = sqlc.arg(ledger) AND transfers.state = 1 AND transfers.id > sqlc.arg(after_id)
ORDER BY transfers.id
LIMIT sqlc.arg(max_rows);

-- ListPendingOfType gives pending transfers of every tenant, by id.
-- name: ListPendingOfType :many
SELECT transfers.*, ledgers.currency FROM transfers JOIN ledgers ON ledgers.number = transfers.ledger
WHERE transfers.state = 1 AND transfers.type = sqlc.arg(type) AND transfers.id > sqlc.arg(after_id)
ORDER BY transfers.id
LIMIT sqlc.arg(max_rows);

-- ListExpired gives pending transfers whose time is over.
-- name: ListExpired :many
SELECT transfers.tenant_id, transfers.id, transfers.expires_at, ledgers.currency
FROM transfers JOIN ledgers ON ledgers.number = transfers.ledger
WHERE transfers.state = 1 AND transfers.expires_at > 0 AND transfers.expires_at <= sqlc.arg(now)
ORDER BY transfers.expires_at
LIMIT sqlc.arg(max_rows);

-- name: AddFact :exec
INSERT INTO outbox (id, tenant_id, sequence, envelope, created_at, sent_at)
VALUES (sqlc.arg(id), sqlc.arg(tenant_id), sqlc.arg(sequence), sqlc.arg(envelope), sqlc.arg(created_at), 0);
