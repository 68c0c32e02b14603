-- +goose Up
-- What has not ended. owner is who drives it, and who alone may append to its
-- log; '' while it is parked. A row goes at the end, which so does not write
-- the transaction a second time.
CREATE TABLE open_transactions (
    owner      TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    tenant_id  TEXT NOT NULL,
    xid        TEXT NOT NULL,
    PRIMARY KEY (owner, created_at, tenant_id, xid)
);
INSERT INTO open_transactions (owner, created_at, tenant_id, xid)
SELECT CASE WHEN state = 6 THEN '' ELSE owner END, created_at, tenant_id, xid FROM transactions WHERE state NOT IN (3, 5);

-- The latest entry has the state; without one it is 1. Transactions that are
-- older than transaction_entries get one, before all others, for what their
-- row said.
INSERT INTO transaction_entries (tenant_id, xid, sequence, state, problem, occurred_at, records)
SELECT tenant_id, xid, -1, state, problem, updated_at, '' FROM transactions
WHERE state <> 1 AND NOT EXISTS (
    SELECT 1 FROM transaction_entries AS entry WHERE entry.tenant_id = transactions.tenant_id AND entry.xid = transactions.xid
);
DROP INDEX transactions_unfinished;
DROP INDEX transactions_ended;
ALTER TABLE transactions DROP COLUMN state;
ALTER TABLE transactions DROP COLUMN owner;
ALTER TABLE transactions DROP COLUMN problem;
ALTER TABLE transactions DROP COLUMN updated_at;

-- +goose Down
ALTER TABLE transactions ADD COLUMN state INTEGER NOT NULL DEFAULT 1;
ALTER TABLE transactions ADD COLUMN owner TEXT NOT NULL DEFAULT '';
ALTER TABLE transactions ADD COLUMN problem TEXT NOT NULL DEFAULT '';
ALTER TABLE transactions ADD COLUMN updated_at BIGINT NOT NULL DEFAULT 0;
UPDATE transactions SET updated_at = created_at;
UPDATE transactions SET owner = open_transactions.owner FROM open_transactions
WHERE open_transactions.tenant_id = transactions.tenant_id AND open_transactions.xid = transactions.xid;
UPDATE transactions SET state = latest.state, problem = latest.problem, updated_at = latest.occurred_at
FROM transaction_entries AS latest
WHERE latest.tenant_id = transactions.tenant_id AND latest.xid = transactions.xid AND latest.state IN (3, 5, 6)
  AND NOT EXISTS (
    SELECT 1 FROM transaction_entries AS later
    WHERE later.tenant_id = latest.tenant_id AND later.xid = latest.xid AND later.sequence > latest.sequence
);
CREATE INDEX transactions_unfinished ON transactions (owner, created_at) WHERE state IN (1, 2, 4);
CREATE INDEX transactions_ended ON transactions (updated_at) WHERE state IN (3, 5);
DROP TABLE open_transactions;
