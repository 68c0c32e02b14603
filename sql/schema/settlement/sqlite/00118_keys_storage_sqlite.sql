-- +goose Up
-- Tables that are nothing but their keys: as such they are half as long, and a
-- batch changes half as much.
ALTER TABLE keys RENAME TO old_keys;
CREATE TABLE keys (
    tenant_id       TEXT NOT NULL,
    idempotency_key TEXT NOT NULL,
    ledger          BIGINT NOT NULL,
    sequence        BIGINT NOT NULL,
    CONSTRAINT keys_key PRIMARY KEY (tenant_id, idempotency_key)
) WITHOUT ROWID;
INSERT INTO keys (tenant_id, idempotency_key, ledger, sequence)
SELECT tenant_id, idempotency_key, ledger, sequence FROM old_keys ORDER BY tenant_id, idempotency_key;
DROP TABLE old_keys;

ALTER TABLE block_references RENAME TO old_references;
CREATE TABLE block_references (
    tenant_id TEXT NOT NULL,
    reference TEXT NOT NULL,
    id        TEXT NOT NULL,
    ledger    BIGINT NOT NULL,
    sequence  BIGINT NOT NULL,
    CONSTRAINT block_references_key PRIMARY KEY (tenant_id, reference, id)
) WITHOUT ROWID;
INSERT INTO block_references (tenant_id, reference, id, ledger, sequence)
SELECT tenant_id, reference, id, ledger, sequence FROM old_references;
DROP TABLE old_references;

-- +goose Down
-- They may stay so.
SELECT 1;
