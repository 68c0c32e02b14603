-- +goose Up
-- The tenant comes last: as long as a table has no statistics PostgreSQL takes
-- an index that begins with it for as good as the primary key, and a plan that
-- was made then reads all of a tenant to find one xid.
DROP INDEX transactions_by_time;
CREATE INDEX transactions_by_creation ON transactions (created_at, xid, tenant_id);

-- +goose Down
DROP INDEX transactions_by_creation;
CREATE INDEX transactions_by_time ON transactions (tenant_id, created_at, xid);
