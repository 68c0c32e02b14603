-- +goose Up
-- Postings come in the order of the chain, but are asked for by account. A row
-- of an index of accounts for each of them was most of what a batch changed, all
-- over the index. So a batch writes what it moved as one row, and from time to
-- time one sorts all such rows of its ledger into runs: an account has one row
-- for the postings of hundreds of batches.
--
-- moves are the postings of the batches that are not sorted yet. sequence is the
-- last of the batch, first the one where it begins. What was posted to an
-- account after its last run is here, and nothing else.
CREATE TABLE moves (
    ledger   BIGINT NOT NULL,
    sequence BIGINT NOT NULL,
    first    BIGINT NOT NULL,
    at       BIGINT NOT NULL,
    moves    BYTEA NOT NULL,
    CONSTRAINT moves_key PRIMARY KEY (ledger, sequence)
);

-- A run is what an account's posted sums were after the last of its postings,
-- and in lines those after the ones before it, back to the run before. What was
-- a history has runs of one posting.
ALTER TABLE history RENAME TO runs;
ALTER TABLE runs ADD COLUMN lines BYTEA;

-- unsorted is how many postings are in the ledger's moves.
ALTER TABLE ledgers ADD COLUMN unsorted BIGINT NOT NULL DEFAULT 0;

-- +goose Down
DROP TABLE moves;
ALTER TABLE runs DROP COLUMN lines;
ALTER TABLE runs RENAME TO history;
ALTER TABLE ledgers DROP COLUMN unsorted;
