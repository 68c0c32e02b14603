-- +goose Up
-- Moves are sorted some at a time: who sorts all of a ledger's at once holds up
-- all that comes meanwhile. All that was posted up to sorted_to is in runs. From
-- time to time those up to another place, sorting_to, are sorted: each of the
-- batches that follow writes some runs, by account and place, up to that of
-- sorting_account which ends with sorting_sequence. When all are written,
-- sorted_to is there too; then moves are deleted, which are so up to
-- sorting_sequence; and when none is left sorting_to is 0. What was posted to an
-- account after its last run, or after sorted_to if that is later, is in moves.
ALTER TABLE ledgers ADD COLUMN sorted_to BIGINT NOT NULL DEFAULT 0;
ALTER TABLE ledgers ADD COLUMN sorting_to BIGINT NOT NULL DEFAULT 0;
ALTER TABLE ledgers ADD COLUMN sorting_account BIGINT NOT NULL DEFAULT 0;
ALTER TABLE ledgers ADD COLUMN sorting_sequence BIGINT NOT NULL DEFAULT 0;
UPDATE ledgers SET sorted_to = COALESCE((SELECT MIN(moves.first) - 1 FROM moves WHERE moves.ledger = ledgers.number), sequence);

-- It is how many postings are after both places. A program of before this, which
-- would sort what is sorted, is to fail where it moves a ledger on.
ALTER TABLE ledgers RENAME COLUMN loose_moves TO unsorted_moves;

-- +goose Down
DELETE FROM runs WHERE EXISTS (
    SELECT 1 FROM ledgers WHERE ledgers.number = runs.account / 4294967296 AND runs.sequence > ledgers.sorted_to
);
DELETE FROM moves WHERE EXISTS (
    SELECT 1 FROM ledgers WHERE ledgers.number = moves.ledger AND moves.sequence <= ledgers.sorted_to
);
ALTER TABLE ledgers RENAME COLUMN unsorted_moves TO loose_moves;
ALTER TABLE ledgers DROP COLUMN sorted_to;
ALTER TABLE ledgers DROP COLUMN sorting_to;
ALTER TABLE ledgers DROP COLUMN sorting_account;
ALTER TABLE ledgers DROP COLUMN sorting_sequence;
