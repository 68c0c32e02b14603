-- name: InsertJob :exec
INSERT INTO jobs (id, tenant_id, node, upload_id, video_id, creator_id, state, progress_ppm, attempt, problem, source, renditions,
                  output_prefix, due_at, clean, created_at, updated_at)
VALUES (sqlc.arg(id), sqlc.arg(tenant_id), sqlc.arg(node), sqlc.arg(upload_id), sqlc.arg(video_id), sqlc.arg(creator_id),
        sqlc.arg(state), 0, 0, '', sqlc.arg(source), sqlc.arg(renditions), sqlc.arg(output_prefix), sqlc.arg(created_at), 0,
        sqlc.arg(created_at), sqlc.arg(created_at));

-- name: GetJob :one
SELECT * FROM jobs WHERE id = sqlc.arg(id);

-- UpdateJob changes a job that is as it was read: in the same state of the
-- same attempt.
-- name: UpdateJob :execrows
UPDATE jobs
SET state = sqlc.arg(state), progress_ppm = sqlc.arg(progress_ppm), attempt = sqlc.arg(attempt), problem = sqlc.arg(problem),
    source = sqlc.arg(source), renditions = sqlc.arg(renditions), due_at = sqlc.arg(due_at), updated_at = sqlc.arg(updated_at)
WHERE id = sqlc.arg(id) AND state = sqlc.arg(from_state) AND attempt = sqlc.arg(from_attempt);

-- name: SetProgress :execrows
UPDATE jobs
SET progress_ppm = sqlc.arg(progress_ppm), updated_at = sqlc.arg(updated_at)
WHERE id = sqlc.arg(id) AND state = sqlc.arg(state) AND attempt = sqlc.arg(attempt);

-- name: ListDue :many
SELECT id FROM jobs
WHERE node = sqlc.arg(node) AND state = sqlc.arg(state) AND due_at <= sqlc.arg(now)
ORDER BY due_at, id
LIMIT CAST(sqlc.arg(page_size) AS BIGINT);

-- name: CountJobs :one
SELECT COUNT(*) FROM jobs WHERE node = sqlc.arg(node) AND state = sqlc.arg(state);

-- ListUnclean goes through a node's jobs of which something is left, ended or
-- not, a page at a time.
-- name: ListUnclean :many
SELECT * FROM jobs
WHERE node = sqlc.arg(node) AND clean = 0 AND id > sqlc.arg(after)
ORDER BY id
LIMIT CAST(sqlc.arg(page_size) AS BIGINT);

-- name: MarkClean :exec
UPDATE jobs SET clean = 1 WHERE id = sqlc.arg(id);

-- Empty video and creator mean all.
-- name: ListJobs :many
SELECT * FROM jobs
WHERE tenant_id = sqlc.arg(tenant_id)
  AND (video_id = sqlc.arg(video_id) OR sqlc.arg(video_id) = '')
  AND (creator_id = sqlc.arg(creator_id) OR sqlc.arg(creator_id) = '')
  AND id < sqlc.arg(before)
ORDER BY id DESC
LIMIT CAST(sqlc.arg(page_size) AS BIGINT);
