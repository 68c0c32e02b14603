-- TakeLease takes the lease that is free or expired, or renews one's own.
-- name: TakeLease :execrows
INSERT INTO outbox_lease (name, holder, expires_at)
VALUES ('relay', sqlc.arg(holder), sqlc.arg(expires_at))
ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at
WHERE outbox_lease.holder = excluded.holder OR outbox_lease.expires_at < CAST(sqlc.arg(now) AS BIGINT);

-- name: DropLease :exec
DELETE FROM outbox_lease WHERE name = 'relay' AND holder = sqlc.arg(holder);
