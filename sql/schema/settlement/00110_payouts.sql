-- +goose Up
-- Batches of payouts. state: 1 draft, 2 approved, 3 submitted, 4 ended,
-- 5 cancelled. minimum is in minor units.
CREATE TABLE payout_batches (
    id              TEXT PRIMARY KEY,
    tenant_id       TEXT NOT NULL,
    currency        TEXT NOT NULL,
    state           INTEGER NOT NULL,
    minimum         BIGINT NOT NULL,
    idempotency_key TEXT NOT NULL,
    created_at      BIGINT NOT NULL,
    updated_at      BIGINT NOT NULL,
    UNIQUE (tenant_id, idempotency_key)
);
CREATE INDEX payout_batches_by_tenant ON payout_batches (tenant_id, id);

-- One person's part of a batch. state: 1 planned, 2 held, 3 submitted,
-- 4 settled, 5 failed, 6 cancelled.
CREATE TABLE payouts (
    id          TEXT PRIMARY KEY,
    tenant_id   TEXT NOT NULL,
    batch_id    TEXT NOT NULL REFERENCES payout_batches (id),
    owner_id    TEXT NOT NULL,
    amount      BIGINT NOT NULL,
    state       INTEGER NOT NULL,
    problem     TEXT NOT NULL,
    transfer_id TEXT NOT NULL,
    updated_at  BIGINT NOT NULL
);
CREATE INDEX payouts_by_batch ON payouts (batch_id, id);
CREATE INDEX payouts_unfinished ON payouts (batch_id, state) WHERE state < 4;

-- +goose Down
DROP TABLE payouts;
DROP TABLE payout_batches;
