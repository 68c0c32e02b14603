-- PutVideo keeps what is newer.
-- name: PutVideo :exec
INSERT INTO videos (tenant_id, video_id, available, viewers, updated_at)
VALUES (sqlc.arg(tenant_id), sqlc.arg(video_id), sqlc.arg(available), 0, sqlc.arg(updated_at))
ON CONFLICT (tenant_id, video_id) DO UPDATE
SET available = excluded.available, updated_at = excluded.updated_at
WHERE videos.updated_at <= excluded.updated_at;

-- CountViewer counts one viewer more. A view may be told before its video.
-- name: CountViewer :exec
INSERT INTO videos (tenant_id, video_id, available, viewers, updated_at)
VALUES (sqlc.arg(tenant_id), sqlc.arg(video_id), FALSE, 1, 0)
ON CONFLICT (tenant_id, video_id) DO UPDATE SET viewers = videos.viewers + 1;

-- AddInteraction inserts nothing where the viewer has watched the video.
-- name: AddInteraction :execrows
INSERT INTO interactions (tenant_id, viewer_id, video_id, views, watched, last_viewed_at)
VALUES (sqlc.arg(tenant_id), sqlc.arg(viewer_id), sqlc.arg(video_id), 1, sqlc.arg(watched), sqlc.arg(viewed_at))
ON CONFLICT (tenant_id, viewer_id, video_id) DO NOTHING;

-- name: RepeatInteraction :exec
UPDATE interactions
SET views = views + 1,
    watched = watched + sqlc.arg(watched),
    last_viewed_at = CASE WHEN last_viewed_at < sqlc.arg(viewed_at) THEN sqlc.arg(viewed_at) ELSE last_viewed_at END
WHERE tenant_id = sqlc.arg(tenant_id) AND viewer_id = sqlc.arg(viewer_id) AND video_id = sqlc.arg(video_id);

-- name: ListTenants :many
SELECT DISTINCT tenant_id FROM videos ORDER BY tenant_id;

-- name: ListVideos :many
SELECT video_id, available, viewers FROM videos
WHERE tenant_id = sqlc.arg(tenant_id) AND video_id > sqlc.arg(after)
ORDER BY video_id LIMIT CAST(sqlc.arg(max_rows) AS BIGINT);

-- ListHistory is what a viewer watched, latest first.
-- name: ListHistory :many
SELECT video_id FROM interactions
WHERE tenant_id = sqlc.arg(tenant_id) AND viewer_id = sqlc.arg(viewer_id)
ORDER BY last_viewed_at DESC, video_id LIMIT CAST(sqlc.arg(max_rows) AS BIGINT);

-- ListInteractions pages through all, by viewer and video.
-- name: ListInteractions :many
SELECT viewer_id, video_id FROM interactions
WHERE tenant_id = sqlc.arg(tenant_id) AND (viewer_id, video_id) > (CAST(sqlc.arg(after_viewer) AS TEXT), CAST(sqlc.arg(after_video) AS TEXT))
ORDER BY viewer_id, video_id LIMIT CAST(sqlc.arg(max_rows) AS BIGINT);
