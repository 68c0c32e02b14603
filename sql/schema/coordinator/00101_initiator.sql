-- +goose Up
-- What a record carries beside its numbers: the branch that an initiator has
-- registered.
ALTER TABLE transaction_log ADD COLUMN content BYTEA;

-- +goose Down
ALTER TABLE transaction_log DROP COLUMN content;
