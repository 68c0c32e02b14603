-- +goose Up
-- Comparisons with a settlement file. state: 1 open, 2 finished, 3 failed.
-- mapping and report are proto messages; size is how much of the file is here.
CREATE TABLE reconciliations (
    id              TEXT PRIMARY KEY,
    tenant_id       TEXT NOT NULL,
    name            TEXT NOT NULL,
    state           INTEGER NOT NULL,
    from_time       BIGINT NOT NULL,
    to_time         BIGINT NOT NULL,
    mapping         BYTEA NOT NULL,
    report          BYTEA NOT NULL,
    problem         TEXT NOT NULL,
    size            BIGINT NOT NULL,
    idempotency_key TEXT NOT NULL,
    created_at      BIGINT NOT NULL,
    updated_at      BIGINT NOT NULL,
    UNIQUE (tenant_id, idempotency_key)
);
CREATE INDEX reconciliations_by_tenant ON reconciliations (tenant_id, id);

-- Parts of the file, until it is compared.
CREATE TABLE reconciliation_parts (
    reconciliation_id TEXT NOT NULL REFERENCES reconciliations (id),
    start             BIGINT NOT NULL,
    data              BYTEA NOT NULL,
    PRIMARY KEY (reconciliation_id, start)
);

-- What was found, as a proto message each.
CREATE TABLE reconciliation_differences (
    reconciliation_id TEXT NOT NULL REFERENCES reconciliations (id),
    place             BIGINT NOT NULL,
    difference        BYTEA NOT NULL,
    PRIMARY KEY (reconciliation_id, place)
);

-- +goose Down
DROP TABLE reconciliation_differences;
DROP TABLE reconciliation_parts;
DROP TABLE reconciliations;
