-- +goose Up
-- Facts to publish. A row stays for a while after it was sent, since the
-- broker may lose its newest messages at a power cut.
CREATE TABLE outbox (
    id         TEXT PRIMARY KEY,
    tenant_id  TEXT NOT NULL,
    sequence   BIGINT NOT NULL,
    envelope   BYTEA NOT NULL,
    created_at BIGINT NOT NULL,
    sent_at    BIGINT NOT NULL
);
CREATE INDEX outbox_unsent ON outbox (sequence, id) WHERE sent_at = 0;
CREATE INDEX outbox_sent ON outbox (sent_at) WHERE sent_at > 0;

-- The last sequence of each shard of keys. A transaction that adds a fact
-- holds its shard's row until it ends, so facts of one key commit in order.
CREATE TABLE outbox_shards (
    shard         INTEGER PRIMARY KEY,
    last_sequence BIGINT NOT NULL
);

-- What consumers of this database have handled.
CREATE TABLE inbox (
    consumer    TEXT NOT NULL,
    envelope_id TEXT NOT NULL,
    tenant_id   TEXT NOT NULL,
    occurred_at BIGINT NOT NULL,
    PRIMARY KEY (consumer, envelope_id)
);
CREATE INDEX inbox_by_time ON inbox (occurred_at);

-- How far each branch of a global transaction went in this database.
-- state: 1 tried, 2 confirmed, 3 cancelled, 4 cancelled before it was tried.
CREATE TABLE tcc_barrier (
    tenant_id  TEXT NOT NULL,
    xid        TEXT NOT NULL,
    branch_id  TEXT NOT NULL,
    action     TEXT NOT NULL,
    state      INTEGER NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, xid, branch_id)
);

-- +goose Down
DROP TABLE tcc_barrier;
DROP TABLE inbox;
DROP TABLE outbox_shards;
DROP TABLE outbox;
