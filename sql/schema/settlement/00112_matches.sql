-- +goose Up
-- What the facts of an order, a global transaction and a transfer say of one
-- xid. status: 1 waits for facts, 2 agrees, 3 differs, 4 repaired or closed
-- after it differed. order_state: 0 unheard, 1 paid, 2 refused.
-- transaction_state: 0 unheard, else the coordinator's number. Amounts are of
-- no meaning where their currency is empty.
CREATE TABLE matches (
    tenant_id          TEXT NOT NULL,
    xid                TEXT NOT NULL,
    status             INTEGER NOT NULL,
    order_id           TEXT NOT NULL,
    order_state        INTEGER NOT NULL,
    order_amount       BIGINT NOT NULL,
    order_currency     TEXT NOT NULL,
    transaction_state  INTEGER NOT NULL,
    transfer_id        TEXT NOT NULL,
    transfer_reference TEXT NOT NULL,
    transfer_amount    BIGINT NOT NULL,
    transfer_currency  TEXT NOT NULL,
    kinds              TEXT NOT NULL,
    first_seen_at      BIGINT NOT NULL,
    updated_at         BIGINT NOT NULL,
    found_at           BIGINT NOT NULL,
    closed_at          BIGINT NOT NULL,
    closed_by          TEXT NOT NULL,
    reason             TEXT NOT NULL,
    PRIMARY KEY (tenant_id, xid)
);
CREATE INDEX matches_waiting ON matches (first_seen_at) WHERE status = 1;
CREATE INDEX matches_different ON matches (tenant_id, found_at, xid) WHERE status >= 3;
CREATE INDEX matches_done ON matches (updated_at) WHERE status = 2;

-- +goose Down
DROP TABLE matches;
