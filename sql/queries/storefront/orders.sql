-- name: InsertOrder :execrows
INSERT INTO orders (id, tenant_id, viewer_id, video_id, creator_id, price_minor, price_currency, state, problem, risk,
                    xid, idempotency_key, instrument, device, created_at, updated_at)
VALUES (sqlc.arg(id), sqlc.arg(tenant_id), sqlc.arg(viewer_id), sqlc.arg(video_id), sqlc.arg(creator_id),
        sqlc.arg(price_minor), sqlc.arg(price_currency), sqlc.arg(state), '', sqlc.arg(risk), '', sqlc.arg(idempotency_key),
        sqlc.arg(instrument), sqlc.arg(device), sqlc.arg(created_at), sqlc.arg(created_at))
ON CONFLICT DO NOTHING;

-- name: GetOrder :one
SELECT * FROM orders WHERE tenant_id = sqlc.arg(tenant_id) AND id = sqlc.arg(id);

-- name: GetOrderByKey :one
SELECT * FROM orders
WHERE tenant_id = sqlc.arg(tenant_id) AND viewer_id = sqlc.arg(viewer_id) AND idempotency_key = sqlc.arg(idempotency_key);

-- name: MoveOrder :execrows
UPDATE orders
SET state = sqlc.arg(state), problem = sqlc.arg(problem), risk = sqlc.arg(risk), xid = sqlc.arg(xid),
    updated_at = sqlc.arg(updated_at)
WHERE tenant_id = sqlc.arg(tenant_id) AND id = sqlc.arg(id) AND state = sqlc.arg(from_state);

-- name: ListUnfinished :many
SELECT * FROM orders
WHERE state IN (sqlc.arg(first_state), sqlc.arg(second_state)) AND updated_at <= sqlc.arg(updated_before)
ORDER BY updated_at
LIMIT CAST(sqlc.arg(page_size) AS BIGINT);

-- name: ListOrders :many
SELECT * FROM orders
WHERE tenant_id = sqlc.arg(tenant_id)
  AND (viewer_id = sqlc.arg(viewer_id) OR sqlc.arg(viewer_id) = '')
  AND id < sqlc.arg(before)
ORDER BY id DESC
LIMIT CAST(sqlc.arg(page_size) AS BIGINT);

-- name: CountPaid :one
SELECT COUNT(*) FROM orders
WHERE tenant_id = sqlc.arg(tenant_id) AND viewer_id = sqlc.arg(viewer_id) AND state = sqlc.arg(state);

-- name: GetEntitlement :one
SELECT * FROM entitlements
WHERE tenant_id = sqlc.arg(tenant_id) AND viewer_id = sqlc.arg(viewer_id) AND video_id = sqlc.arg(video_id);

-- name: PutEntitlement :exec
INSERT INTO entitlements (tenant_id, viewer_id, video_id, order_id, state, updated_at)
VALUES (sqlc.arg(tenant_id), sqlc.arg(viewer_id), sqlc.arg(video_id), sqlc.arg(order_id), sqlc.arg(state), sqlc.arg(updated_at))
ON CONFLICT (tenant_id, viewer_id, video_id)
DO UPDATE SET order_id = excluded.order_id, state = excluded.state, updated_at = excluded.updated_at;

-- name: ListEntitlements :many
SELECT * FROM entitlements
WHERE tenant_id = sqlc.arg(tenant_id)
  AND (viewer_id = sqlc.arg(viewer_id) OR sqlc.arg(viewer_id) = '')
  AND order_id < sqlc.arg(before)
ORDER BY order_id DESC
LIMIT CAST(sqlc.arg(page_size) AS BIGINT);
