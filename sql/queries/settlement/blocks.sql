-- AddBlock inserts nothing where there is one that ends there.
-- name: AddBlock :execrows
INSERT INTO blocks (ledger, sequence, last_id, at, transfers)
VALUES (sqlc.arg(ledger), sqlc.arg(sequence), sqlc.arg(last_id), sqlc.arg(at), sqlc.arg(transfers))
ON CONFLICT DO NOTHING;

-- LastBlockID gives the id that the next block's begin after.
-- name: LastBlockID :one
SELECT last_id FROM blocks WHERE ledger = sqlc.arg(ledger) ORDER BY sequence DESC LIMIT 1;

-- FindKey gives where a transfer is that has an idempotency key.
-- name: FindKey :one
SELECT ledger, sequence FROM keys WHERE tenant_id = sqlc.arg(tenant_id) AND idempotency_key = sqlc.arg(idempotency_key);

-- ListKeys gives a tenant's, in order.
-- name: ListKeys :many
SELECT idempotency_key, ledger, sequence FROM keys
WHERE tenant_id = sqlc.arg(tenant_id) AND idempotency_key > sqlc.arg(after_key)
ORDER BY idempotency_key
LIMIT sqlc.arg(max_rows);

-- BlocksAfter gives blocks of a ledger that end after a place, in the order of
-- the chain.
-- name: BlocksAfter :many
SELECT blocks.*, ledgers.tenant_id, ledgers.currency FROM blocks JOIN ledgers ON ledgers.number = blocks.ledger
WHERE blocks.ledger = sqlc.arg(ledger) AND blocks.sequence > sqlc.arg(after_sequence)
ORDER BY blocks.sequence
LIMIT sqlc.arg(max_rows);

-- BlocksAfterID gives blocks of a ledger that end after an id, and are of a time,
-- in order.
-- name: BlocksAfterID :many
SELECT blocks.*, ledgers.tenant_id, ledgers.currency FROM blocks JOIN ledgers ON ledgers.number = blocks.ledger
WHERE blocks.ledger = sqlc.arg(ledger) AND blocks.last_id > sqlc.arg(after_id)
  AND blocks.at >= sqlc.arg(from_time) AND blocks.at < sqlc.arg(to_time)
ORDER BY blocks.last_id
LIMIT sqlc.arg(max_rows);

-- BlocksOfID gives of each ledger of a tenant the block where an id would be.
-- name: BlocksOfID :many
SELECT blocks.*, ledgers.tenant_id, ledgers.currency FROM ledgers JOIN blocks ON blocks.ledger = ledgers.number
WHERE ledgers.tenant_id = sqlc.arg(tenant_id) AND blocks.last_id = (
    SELECT CAST(MIN(other.last_id) AS TEXT) FROM blocks AS other WHERE other.ledger = ledgers.number AND other.last_id >= sqlc.arg(id)
);

-- PlacesOf gives where the transfers of a reference are that are in blocks, by id.
-- name: PlacesOf :many
SELECT id, ledger, sequence FROM block_references
WHERE tenant_id = sqlc.arg(tenant_id) AND reference = sqlc.arg(reference) AND id > sqlc.arg(after_id)
ORDER BY id
LIMIT sqlc.arg(max_rows);

-- ListReferences gives a tenant's, in order.
-- name: ListReferences :many
SELECT reference, id, ledger, sequence FROM block_references
WHERE tenant_id = sqlc.arg(tenant_id)
  AND (reference, id) > (CAST(sqlc.arg(after_reference) AS TEXT), CAST(sqlc.arg(after_id) AS TEXT))
ORDER BY reference, id
LIMIT sqlc.arg(max_rows);

-- CountReference tells whether a transfer that is in a block is found by its
-- reference: 1 or 0.
-- name: CountReference :one
SELECT COUNT(*) FROM block_references
WHERE tenant_id = sqlc.arg(tenant_id) AND reference = sqlc.arg(reference) AND id = sqlc.arg(id);

-- CountKeyless counts the rows of transfers whose idempotency key is not where
-- the next one with it would look.
-- name: CountKeyless :one
SELECT COUNT(*) FROM transfers
WHERE transfers.tenant_id = sqlc.arg(tenant_id) AND NOT EXISTS (
    SELECT 1 FROM keys WHERE keys.tenant_id = transfers.tenant_id AND keys.idempotency_key = transfers.idempotency_key AND keys.sequence = 0
);
