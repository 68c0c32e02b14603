-- +goose Up
-- The log: an entry is one write of a transaction, with all the records of
-- it. sequence is the first record's, so that a place is taken once. The
-- first records are in transactions; transactions of before have theirs in
-- transaction_log.
CREATE TABLE transaction_entries (
    tenant_id   TEXT NOT NULL,
    xid         TEXT NOT NULL,
    sequence    INTEGER NOT NULL,
    state       INTEGER NOT NULL,
    problem     TEXT NOT NULL,
    occurred_at BIGINT NOT NULL,
    records     BYTEA NOT NULL,
    PRIMARY KEY (tenant_id, xid, sequence)
);

-- From here on transactions is written at the beginning and at the end: state
-- is 1 until the transaction has ended (3, 5) or is parked (6); in between the
-- latest entry has it.
ALTER TABLE transactions ADD COLUMN records BYTEA NOT NULL DEFAULT '';
CREATE INDEX transactions_ended ON transactions (updated_at) WHERE state IN (3, 5);

-- +goose Down
DROP INDEX transactions_ended;
ALTER TABLE transactions DROP COLUMN records;
DROP TABLE transaction_entries;
