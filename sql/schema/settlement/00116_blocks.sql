-- +goose Up
-- Most transfers are posted when they are booked, and never change. A row with
-- four indexes for each of those was half of what a batch did. So a batch packs
-- them: a block is many transfers in one row. What may still end, and what is
-- linked, is a row of transfers as before, and so is what was there before.
--
-- sequence and last_id are of the last transfer in a block: those of a ledger's
-- blocks grow together, so a transfer is in the first block that does not end
-- before it. All of a block was posted at one time. The format of transfers is
-- that of package store of the settlement service.
CREATE TABLE blocks (
    ledger    BIGINT NOT NULL,
    sequence  BIGINT NOT NULL,
    last_id   TEXT NOT NULL,
    at        BIGINT NOT NULL,
    transfers BYTEA NOT NULL,
    CONSTRAINT blocks_key PRIMARY KEY (ledger, sequence),
    CONSTRAINT blocks_by_id UNIQUE (ledger, last_id)
);

-- The idempotency keys of all transfers. sequence is the place of one that is in
-- a block; 0 where it is a row of transfers.
CREATE TABLE keys (
    tenant_id       TEXT NOT NULL,
    idempotency_key TEXT NOT NULL,
    ledger          BIGINT NOT NULL,
    sequence        BIGINT NOT NULL,
    CONSTRAINT keys_key PRIMARY KEY (tenant_id, idempotency_key)
);
INSERT INTO keys (tenant_id, idempotency_key, ledger, sequence)
SELECT tenant_id, idempotency_key, ledger, 0 FROM transfers;

-- The references of transfers that are in blocks; those that have none are not
-- here.
CREATE TABLE block_references (
    tenant_id TEXT NOT NULL,
    reference TEXT NOT NULL,
    id        TEXT NOT NULL,
    ledger    BIGINT NOT NULL,
    sequence  BIGINT NOT NULL,
    CONSTRAINT block_references_key PRIMARY KEY (tenant_id, reference, id)
);

-- A program of before this, which would write transfers without their keys, is
-- to fail where it moves a ledger on.
ALTER TABLE ledgers RENAME COLUMN unsorted TO loose_moves;

-- +goose Down
-- What is in blocks is lost.
ALTER TABLE ledgers RENAME COLUMN loose_moves TO unsorted;
DROP TABLE block_references;
DROP TABLE keys;
DROP TABLE blocks;
