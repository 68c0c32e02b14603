-- +goose Up
-- Bookings come in batches: what one writes is few and narrow rows. Accounts
-- have numbers, balances are apart from what seldom changes, and a transfer's
-- lines are a text of its row.
ALTER TABLE accounts RENAME TO old_accounts;
ALTER TABLE ledgers RENAME TO old_ledgers;
ALTER TABLE transfers RENAME TO old_transfers;
ALTER TABLE postings RENAME TO old_postings;
DROP INDEX accounts_by_tenant;
DROP INDEX transfers_chain;
DROP INDEX transfers_by_reference;
DROP INDEX transfers_by_tenant;
DROP INDEX transfers_pending;
DROP INDEX postings_by_account;

-- A ledger is one tenant's transfers in one currency: one chain, one writer at
-- a time. version counts its batches. Who writes a batch first takes the next
-- version, which holds the row until the end of the transaction: a writer that
-- finds another version than it left knows that others wrote, and what it
-- remembers is void. accounts is the last number that an account got; those of
-- a ledger begin at number * 2^32. sequence and hash are the chain's end.
-- updated_at never goes back, and no two batches have the same.
CREATE TABLE ledgers (
    number     BIGINT NOT NULL,
    tenant_id  TEXT NOT NULL,
    currency   TEXT NOT NULL,
    version    BIGINT NOT NULL,
    accounts   BIGINT NOT NULL,
    sequence   BIGINT NOT NULL,
    hash       BYTEA NOT NULL,
    updated_at BIGINT NOT NULL,
    CONSTRAINT ledgers_key PRIMARY KEY (tenant_id, currency),
    CONSTRAINT ledgers_by_number UNIQUE (number)
);

-- One owner's money for one purpose in one currency. normal_side: 1 debit,
-- 2 credit. overdraft: 1 when the balance may fall below zero. state: 1 open,
-- 2 frozen, 3 closed.
CREATE TABLE accounts (
    number      BIGINT NOT NULL,
    id          TEXT NOT NULL,
    tenant_id   TEXT NOT NULL,
    purpose     TEXT NOT NULL,
    owner_id    TEXT NOT NULL,
    currency    TEXT NOT NULL,
    normal_side INTEGER NOT NULL,
    overdraft   INTEGER NOT NULL,
    state       INTEGER NOT NULL,
    created_at  BIGINT NOT NULL,
    CONSTRAINT accounts_key PRIMARY KEY (tenant_id, id),
    CONSTRAINT accounts_by_owner UNIQUE (tenant_id, owner_id, purpose, currency),
    CONSTRAINT accounts_by_number UNIQUE (number)
);

-- The sums of an account's postings in minor units, as they are now.
CREATE TABLE balances (
    account         BIGINT NOT NULL,
    debits_posted   BIGINT NOT NULL,
    credits_posted  BIGINT NOT NULL,
    debits_pending  BIGINT NOT NULL,
    credits_pending BIGINT NOT NULL,
    CONSTRAINT balances_key PRIMARY KEY (account)
);

-- state: 1 pending, 2 posted, 3 voided. A pending transfer ends once; else
-- a row never changes. ledger is its number. postings is a text of lines with
-- a space between them: number of the account, d or c, amount. sequence is 0
-- and hash empty unless posted. chain_id is the first transfer's of those that
-- were linked; empty for one alone. pended is 1 for what was pending at first.
-- A pending transfer ends at expires_at; 0 means never.
CREATE TABLE transfers (
    id              TEXT NOT NULL,
    tenant_id       TEXT NOT NULL,
    ledger          BIGINT NOT NULL,
    type            TEXT NOT NULL,
    state           INTEGER NOT NULL,
    reference       TEXT NOT NULL,
    xid             TEXT NOT NULL,
    idempotency_key TEXT NOT NULL,
    split_policy    TEXT NOT NULL,
    chain_id        TEXT NOT NULL,
    pended          INTEGER NOT NULL,
    sequence        BIGINT NOT NULL,
    hash            BYTEA NOT NULL,
    postings        TEXT NOT NULL,
    created_at      BIGINT NOT NULL,
    ended_at        BIGINT NOT NULL,
    expires_at      BIGINT NOT NULL,
    CONSTRAINT transfers_key PRIMARY KEY (tenant_id, id),
    CONSTRAINT transfers_by_key UNIQUE (tenant_id, idempotency_key)
);

-- What an account's posted sums were after each of its postings.
CREATE TABLE history (
    account  BIGINT NOT NULL,
    at       BIGINT NOT NULL,
    sequence BIGINT NOT NULL,
    debits   BIGINT NOT NULL,
    credits  BIGINT NOT NULL,
    CONSTRAINT history_key PRIMARY KEY (account, at, sequence)
);

INSERT INTO ledgers (number, tenant_id, currency, version, accounts, sequence, hash, updated_at)
SELECT row_number() OVER (ORDER BY tenant_id, currency), tenant_id, currency, 0, 0, sequence, hash, updated_at FROM old_ledgers;

INSERT INTO accounts (number, id, tenant_id, purpose, owner_id, currency, normal_side, overdraft, state, created_at)
SELECT ledgers.number * 4294967296 + row_number() OVER (PARTITION BY ledgers.number ORDER BY old.id),
    old.id, old.tenant_id, old.purpose, old.owner_id, old.currency, old.normal_side, old.overdraft, 1, old.created_at
FROM old_accounts AS old JOIN ledgers ON ledgers.tenant_id = old.tenant_id AND ledgers.currency = old.currency;

UPDATE ledgers SET accounts = number * 4294967296 +
    (SELECT count(*) FROM accounts WHERE accounts.tenant_id = ledgers.tenant_id AND accounts.currency = ledgers.currency);

INSERT INTO balances (account, debits_posted, credits_posted, debits_pending, credits_pending)
SELECT accounts.number, old.debits_posted, old.credits_posted, old.debits_pending, old.credits_pending
FROM old_accounts AS old JOIN accounts ON accounts.tenant_id = old.tenant_id AND accounts.id = old.id;

INSERT INTO transfers (id, tenant_id, ledger, type, state, reference, xid, idempotency_key, split_policy, chain_id, pended,
    sequence, hash, postings, created_at, ended_at, expires_at)
SELECT old.id, old.tenant_id, ledgers.number, old.type, old.state, old.reference, old.xid, old.idempotency_key, old.split_policy, '', 1,
    old.sequence, old.hash, (
        SELECT string_agg(CAST(accounts.number AS TEXT) || CASE lines.side WHEN 1 THEN 'd' ELSE 'c' END || CAST(lines.amount AS TEXT),
            ' ' ORDER BY lines.line)
        FROM old_postings AS lines JOIN accounts ON accounts.tenant_id = lines.tenant_id AND accounts.id = lines.account_id
        WHERE lines.transfer_id = old.id
    ), old.created_at, old.ended_at, 0
FROM old_transfers AS old JOIN ledgers ON ledgers.tenant_id = old.tenant_id AND ledgers.currency = old.currency;

INSERT INTO history (account, at, sequence, debits, credits)
SELECT accounts.number, old.ended_at, old.sequence,
    SUM(CASE lines.side WHEN 1 THEN lines.amount ELSE 0 END) OVER (PARTITION BY accounts.number ORDER BY old.sequence),
    SUM(CASE lines.side WHEN 2 THEN lines.amount ELSE 0 END) OVER (PARTITION BY accounts.number ORDER BY old.sequence)
FROM old_postings AS lines
JOIN old_transfers AS old ON old.id = lines.transfer_id AND old.state = 2
JOIN accounts ON accounts.tenant_id = lines.tenant_id AND accounts.id = lines.account_id;

DROP TABLE old_postings;
DROP TABLE old_transfers;
DROP TABLE old_ledgers;
DROP TABLE old_accounts;

CREATE UNIQUE INDEX transfers_chain ON transfers (ledger, sequence) WHERE sequence > 0;
CREATE INDEX transfers_by_reference ON transfers (tenant_id, reference, id) WHERE reference <> '';
CREATE INDEX transfers_linked ON transfers (tenant_id, chain_id) WHERE chain_id <> '';
CREATE INDEX transfers_pending ON transfers (ledger, id) WHERE state = 1;
CREATE INDEX transfers_expiring ON transfers (expires_at) WHERE state = 1 AND expires_at > 0;

-- +goose Down
DROP TABLE history;
DROP TABLE balances;
DROP TABLE transfers;
DROP TABLE accounts;
DROP TABLE ledgers;
