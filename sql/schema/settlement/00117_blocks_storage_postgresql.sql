-- +goose Up
-- A third of a block is hashes: to compress it costs more than it saves.
ALTER TABLE blocks ALTER COLUMN transfers SET STORAGE EXTERNAL;

-- +goose Down
ALTER TABLE blocks ALTER COLUMN transfers SET STORAGE EXTENDED;
