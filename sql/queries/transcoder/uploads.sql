-- name: InsertUpload :exec
INSERT INTO uploads (id, tenant_id, node, video_id, creator_id, filename, size_bytes, state, problem, job_id, created_at, updated_at)
VALUES (sqlc.arg(id), sqlc.arg(tenant_id), sqlc.arg(node), sqlc.arg(video_id), sqlc.arg(creator_id), sqlc.arg(filename),
        sqlc.arg(size_bytes), sqlc.arg(state), '', '', sqlc.arg(created_at), sqlc.arg(created_at));

-- name: GetUpload :one
SELECT * FROM uploads WHERE id = sqlc.arg(id);

-- name: MoveUpload :execrows
UPDATE uploads
SET state = sqlc.arg(state), problem = sqlc.arg(problem), job_id = sqlc.arg(job_id), updated_at = sqlc.arg(updated_at)
WHERE id = sqlc.arg(id) AND state = sqlc.arg(from_state);

-- ListUploads goes through a node's uploads in one state, a page at a time.
-- name: ListUploads :many
SELECT * FROM uploads
WHERE node = sqlc.arg(node) AND state = sqlc.arg(state) AND id > sqlc.arg(after)
ORDER BY id
LIMIT CAST(sqlc.arg(page_size) AS BIGINT);

-- name: CountUploads :one
SELECT COUNT(*) FROM uploads
WHERE tenant_id = sqlc.arg(tenant_id) AND creator_id = sqlc.arg(creator_id) AND state = sqlc.arg(state);
