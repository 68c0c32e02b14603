-- name: InsertVideo :execrows
INSERT INTO videos (id, tenant_id, creator_id, title, description, tags, state, price_minor, price_currency,
                    duration, width, height, problem, media_prefix, external_ref, created_at, published_at, updated_at)
VALUES (sqlc.arg(id), sqlc.arg(tenant_id), sqlc.arg(creator_id), sqlc.arg(title), sqlc.arg(description), sqlc.arg(tags),
        sqlc.arg(state), 0, '', 0, 0, 0, '', '', sqlc.arg(external_ref), sqlc.arg(created_at), 0, sqlc.arg(created_at))
ON CONFLICT DO NOTHING;

-- name: GetVideo :one
SELECT * FROM videos WHERE tenant_id = sqlc.arg(tenant_id) AND id = sqlc.arg(id);

-- name: GetVideoByExternalRef :one
SELECT * FROM videos
WHERE tenant_id = sqlc.arg(tenant_id) AND creator_id = sqlc.arg(creator_id)
  AND external_ref = sqlc.arg(external_ref) AND external_ref <> '';

-- name: UpdateVideo :exec
UPDATE videos
SET state = sqlc.arg(state), price_minor = sqlc.arg(price_minor), price_currency = sqlc.arg(price_currency),
    duration = sqlc.arg(duration), width = sqlc.arg(width), height = sqlc.arg(height), problem = sqlc.arg(problem),
    media_prefix = sqlc.arg(media_prefix), published_at = sqlc.arg(published_at), updated_at = sqlc.arg(updated_at)
WHERE tenant_id = sqlc.arg(tenant_id) AND id = sqlc.arg(id);

-- name: ListPublished :many
SELECT * FROM videos
WHERE tenant_id = sqlc.arg(tenant_id) AND state = sqlc.arg(state) AND id < sqlc.arg(before)
ORDER BY id DESC
LIMIT CAST(sqlc.arg(page_size) AS BIGINT);

-- name: ListOfCreator :many
SELECT * FROM videos
WHERE tenant_id = sqlc.arg(tenant_id) AND creator_id = sqlc.arg(creator_id) AND id < sqlc.arg(before)
ORDER BY id DESC
LIMIT CAST(sqlc.arg(page_size) AS BIGINT);

-- name: InsertView :execrows
INSERT INTO views (tenant_id, id, viewer_id, video_id, watched, viewed_at)
VALUES (sqlc.arg(tenant_id), sqlc.arg(id), sqlc.arg(viewer_id), sqlc.arg(video_id), sqlc.arg(watched), sqlc.arg(viewed_at))
ON CONFLICT DO NOTHING;
