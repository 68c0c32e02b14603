-- NextSequence takes the shard's next number: the proposed one, or one more
-- than the last where that is not less.
-- name: NextSequence :one
INSERT INTO outbox_shards (shard, last_sequence)
VALUES (sqlc.arg(shard), sqlc.arg(proposed))
ON CONFLICT (shard) DO UPDATE SET last_sequence =
    CASE WHEN excluded.last_sequence > outbox_shards.last_sequence THEN excluded.last_sequence
         ELSE outbox_shards.last_sequence + 1 END
RETURNING last_sequence;

-- name: AddToOutbox :exec
INSERT INTO outbox (id, tenant_id, sequence, envelope, created_at, sent_at)
VALUES (sqlc.arg(id), sqlc.arg(tenant_id), sqlc.arg(sequence), sqlc.arg(envelope), sqlc.arg(created_at), 0);

-- name: ListUnsent :many
SELECT id, sequence, envelope, created_at FROM outbox
WHERE sent_at = 0
ORDER BY sequence, id
LIMIT sqlc.arg(max_rows);

-- MarkSent marks up to 32 rows; those that are over have an id of no row.
-- name: MarkSent :exec
UPDATE outbox SET sent_at = sqlc.arg(sent_at) WHERE id IN (
    sqlc.arg(id_1), sqlc.arg(id_2), sqlc.arg(id_3), sqlc.arg(id_4), sqlc.arg(id_5), sqlc.arg(id_6), sqlc.arg(id_7), sqlc.arg(id_8),
    sqlc.arg(id_9), sqlc.arg(id_10), sqlc.arg(id_11), sqlc.arg(id_12), sqlc.arg(id_13), sqlc.arg(id_14), sqlc.arg(id_15), sqlc.arg(id_16),
    sqlc.arg(id_17), sqlc.arg(id_18), sqlc.arg(id_19), sqlc.arg(id_20), sqlc.arg(id_21), sqlc.arg(id_22), sqlc.arg(id_23), sqlc.arg(id_24),
    sqlc.arg(id_25), sqlc.arg(id_26), sqlc.arg(id_27), sqlc.arg(id_28), sqlc.arg(id_29), sqlc.arg(id_30), sqlc.arg(id_31), sqlc.arg(id_32)
);

-- MarkAllUnsent makes every row that is still kept due again.
-- name: MarkAllUnsent :execrows
UPDATE outbox SET sent_at = 0 WHERE sent_at > 0;

-- name: PurgeSent :execrows
DELETE FROM outbox WHERE id IN (
    SELECT old.id FROM outbox AS old
    WHERE old.sent_at > 0 AND old.sent_at < sqlc.arg(before)
    ORDER BY old.sent_at LIMIT sqlc.arg(max_rows)
);
