-- name: InsertAccount :execrows
INSERT INTO accounts (id, tenant_id, role, email, secret_hash, display_name, country, external_ref, created_at)
VALUES (sqlc.arg(id), sqlc.arg(tenant_id), sqlc.arg(role), sqlc.arg(email), sqlc.arg(secret_hash),
        sqlc.arg(display_name), sqlc.arg(country), sqlc.arg(external_ref), sqlc.arg(created_at))
ON CONFLICT DO NOTHING;

-- name: GetAccount :one
SELECT * FROM accounts WHERE tenant_id = sqlc.arg(tenant_id) AND id = sqlc.arg(id);

-- name: GetAccountByEmail :one
SELECT * FROM accounts WHERE tenant_id = sqlc.arg(tenant_id) AND email = sqlc.arg(email) AND email <> '';

-- name: GetAccountByExternalRef :one
SELECT * FROM accounts
WHERE tenant_id = sqlc.arg(tenant_id) AND external_ref = sqlc.arg(external_ref) AND external_ref <> '';
