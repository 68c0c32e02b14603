-- +goose Up
-- Running coordinators, one row for each start of a process. A row whose
-- lease is over is dead for good; its transactions go to whoever takes them.
CREATE TABLE coordinators (
    id          TEXT PRIMARY KEY,
    tenant_id   TEXT NOT NULL,
    host        TEXT NOT NULL,
    lease_until BIGINT NOT NULL
);

-- Global transactions. state: 1 trying, 2 confirming, 3 confirmed,
-- 4 cancelling, 5 cancelled, 6 parked. Only the owner may append to one.
CREATE TABLE transactions (
    tenant_id  TEXT NOT NULL,
    xid        TEXT NOT NULL,
    mode       INTEGER NOT NULL,
    state      INTEGER NOT NULL,
    owner      TEXT NOT NULL,
    digest     BYTEA NOT NULL,
    branches   BYTEA NOT NULL,
    problem    TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, xid)
);
CREATE INDEX transactions_unfinished ON transactions (owner, created_at) WHERE state IN (1, 2, 4);
CREATE INDEX transactions_by_time ON transactions (tenant_id, created_at, xid);

-- The log, written before each phase is called. branch is the index of the
-- branch in its transaction.
CREATE TABLE transaction_log (
    tenant_id   TEXT NOT NULL,
    xid         TEXT NOT NULL,
    sequence    INTEGER NOT NULL,
    branch      INTEGER NOT NULL,
    phase       INTEGER NOT NULL,
    status      INTEGER NOT NULL,
    attempt     INTEGER NOT NULL,
    problem     TEXT NOT NULL,
    occurred_at BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, xid, sequence)
);

-- +goose Down
DROP TABLE transaction_log;
DROP TABLE transactions;
DROP TABLE coordinators;
