-- +goose Up
-- What is posted to an account is what its history ends with: one row less to
-- change for each posting. balances keeps what is pending.
ALTER TABLE balances DROP COLUMN debits_posted;
ALTER TABLE balances DROP COLUMN credits_posted;

-- Times of a history never go back, whatever the clock did when batches had no
-- times of their own.
ALTER TABLE history RENAME TO old_history;
CREATE TABLE history (
    account  BIGINT NOT NULL,
    at       BIGINT NOT NULL,
    sequence BIGINT NOT NULL,
    debits   BIGINT NOT NULL,
    credits  BIGINT NOT NULL,
    CONSTRAINT history_by_time PRIMARY KEY (account, at, sequence)
);
INSERT INTO history (account, at, sequence, debits, credits)
SELECT account, MAX(at) OVER (PARTITION BY account ORDER BY sequence), sequence, debits, credits FROM old_history;
DROP TABLE old_history;
UPDATE ledgers SET updated_at = COALESCE((
    SELECT MAX(transfers.ended_at) FROM transfers
    WHERE transfers.ledger = ledgers.number AND transfers.ended_at > ledgers.updated_at
), updated_at);

-- +goose Down
ALTER TABLE balances ADD COLUMN debits_posted BIGINT NOT NULL DEFAULT 0;
ALTER TABLE balances ADD COLUMN credits_posted BIGINT NOT NULL DEFAULT 0;
