-- name: AddCoordinator :exec
INSERT INTO coordinators (id, tenant_id, host, lease_until)
VALUES (sqlc.arg(id), sqlc.arg(tenant_id), sqlc.arg(host), sqlc.arg(lease_until));

-- RenewCoordinator changes nothing once the lease is over.
-- name: RenewCoordinator :execrows
UPDATE coordinators SET lease_until = sqlc.arg(lease_until)
WHERE id = sqlc.arg(id) AND lease_until >= sqlc.arg(now);

-- name: EndCoordinator :exec
UPDATE coordinators SET lease_until = 0 WHERE id = sqlc.arg(id);

-- Fence counts the coordinator of this id, unless its work may be another's.
-- name: Fence :one
SELECT COUNT(*) FROM coordinators WHERE id = sqlc.arg(id) AND lease_until > 0;

-- EndDead ends those whose lease is over, and earlier starts on the same
-- host. It waits for their writes under way; later ones are refused.
-- name: EndDead :execrows
UPDATE coordinators SET lease_until = 0
WHERE lease_until > 0 AND id <> sqlc.arg(id)
  AND (lease_until < sqlc.arg(now) OR host = sqlc.arg(host));

-- PurgeCoordinators forgets the dead that have nothing to take over.
-- name: PurgeCoordinators :execrows
DELETE FROM coordinators
WHERE lease_until < sqlc.arg(before) AND NOT EXISTS (
    SELECT 1 FROM open_transactions WHERE open_transactions.owner = coordinators.id
);

-- TakeOver gives transactions of coordinators that were ended a new owner.
-- name: TakeOver :execrows
UPDATE open_transactions SET owner = sqlc.arg(owner)
WHERE owner <> sqlc.arg(owner) AND owner IN (
    SELECT dead.id FROM coordinators AS dead WHERE dead.lease_until = 0
);
