-- +goose Up
-- Which process publishes the outbox of a database that several have open.
-- One row, named relay.
CREATE TABLE outbox_lease (
    name       TEXT PRIMARY KEY,
    holder     TEXT NOT NULL,
    expires_at BIGINT NOT NULL
);

-- +goose Down
DROP TABLE outbox_lease;
