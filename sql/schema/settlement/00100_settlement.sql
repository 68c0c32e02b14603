-- +goose Up
-- One owner's money for one purpose in one currency, in minor units.
-- normal_side: 1 debit, 2 credit. overdraft: 1 when the balance may fall
-- below zero. The four sums are those of the postings, kept at hand.
CREATE TABLE accounts (
    id              TEXT PRIMARY KEY,
    tenant_id       TEXT NOT NULL,
    purpose         TEXT NOT NULL,
    owner_id        TEXT NOT NULL,
    currency        TEXT NOT NULL,
    normal_side     INTEGER NOT NULL,
    overdraft       INTEGER NOT NULL,
    debits_posted   BIGINT NOT NULL,
    credits_posted  BIGINT NOT NULL,
    debits_pending  BIGINT NOT NULL,
    credits_pending BIGINT NOT NULL,
    created_at      BIGINT NOT NULL,
    UNIQUE (tenant_id, owner_id, purpose, currency)
);
CREATE INDEX accounts_by_tenant ON accounts (tenant_id, id);

-- The end of each ledger's hash chain. Who writes to a ledger holds its row
-- until the end of the transaction: this is the fence of its writers.
CREATE TABLE ledgers (
    tenant_id  TEXT NOT NULL,
    currency   TEXT NOT NULL,
    sequence   BIGINT NOT NULL,
    hash       BYTEA NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, currency)
);

-- state: 1 pending, 2 posted, 3 voided. A pending transfer ends once; else
-- a row never changes. sequence is 0 and hash empty unless posted.
CREATE TABLE transfers (
    id              TEXT PRIMARY KEY,
    tenant_id       TEXT NOT NULL,
    currency        TEXT NOT NULL,
    type            TEXT NOT NULL,
    state           INTEGER NOT NULL,
    reference       TEXT NOT NULL,
    xid             TEXT NOT NULL,
    idempotency_key TEXT NOT NULL,
    split_policy    TEXT NOT NULL,
    sequence        BIGINT NOT NULL,
    hash            BYTEA NOT NULL,
    created_at      BIGINT NOT NULL,
    ended_at        BIGINT NOT NULL,
    UNIQUE (tenant_id, idempotency_key)
);
CREATE UNIQUE INDEX transfers_chain ON transfers (tenant_id, currency, sequence) WHERE sequence > 0;
CREATE INDEX transfers_by_reference ON transfers (tenant_id, reference, id);
CREATE INDEX transfers_by_tenant ON transfers (tenant_id, id);
CREATE INDEX transfers_pending ON transfers (tenant_id, currency, id) WHERE state = 1;

-- Lines of transfers; never changed. amount is above zero.
CREATE TABLE postings (
    transfer_id TEXT NOT NULL REFERENCES transfers (id),
    line        INTEGER NOT NULL,
    tenant_id   TEXT NOT NULL,
    account_id  TEXT NOT NULL REFERENCES accounts (id),
    side        INTEGER NOT NULL,
    amount      BIGINT NOT NULL,
    PRIMARY KEY (transfer_id, line)
);
CREATE INDEX postings_by_account ON postings (account_id, transfer_id);

-- +goose Down
DROP TABLE postings;
DROP TABLE transfers;
DROP TABLE ledgers;
DROP TABLE accounts;
