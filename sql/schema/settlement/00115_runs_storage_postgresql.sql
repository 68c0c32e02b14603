-- +goose Up
-- Moves are varints of sums that grow: to compress them costs more than it
-- saves.
ALTER TABLE moves ALTER COLUMN moves SET STORAGE EXTERNAL;

-- +goose Down
ALTER TABLE moves ALTER COLUMN moves SET STORAGE EXTENDED;
