-- AddBranch inserts nothing where the branch is known.
-- name: AddBranch :execrows
INSERT INTO tcc_barrier (tenant_id, xid, branch_id, action, state, created_at, updated_at)
VALUES (sqlc.arg(tenant_id), sqlc.arg(xid), sqlc.arg(branch_id), sqlc.arg(action), sqlc.arg(state), sqlc.arg(now), sqlc.arg(now))
ON CONFLICT (tenant_id, xid, branch_id) DO NOTHING;

-- MoveBranch changes nothing where the branch is not in the state it leaves.
-- name: MoveBranch :execrows
UPDATE tcc_barrier SET state = sqlc.arg(next_state), updated_at = sqlc.arg(now)
WHERE tenant_id = sqlc.arg(tenant_id) AND xid = sqlc.arg(xid) AND branch_id = sqlc.arg(branch_id)
  AND action = sqlc.arg(action) AND state = sqlc.arg(state);

-- name: GetBranch :one
SELECT state, action FROM tcc_barrier
WHERE tenant_id = sqlc.arg(tenant_id) AND xid = sqlc.arg(xid) AND branch_id = sqlc.arg(branch_id);
