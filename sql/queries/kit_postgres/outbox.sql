-- AddAllToOutbox adds facts in the order given: the n-th elements of all
-- arrays are one. It takes the next numbers of their shards, whose rows it
-- locks in order until the transaction ends, so facts of one key commit in
-- order. Envelopes come without their sequence.
-- name: AddAllToOutbox :exec
WITH facts AS (
    SELECT unnest(sqlc.arg(ids)::text[]) AS id, unnest(sqlc.arg(tenant_ids)::text[]) AS tenant_id,
        unnest(sqlc.arg(shards)::int[]) AS shard, unnest(sqlc.arg(envelopes)::bytea[]) AS envelope,
        generate_subscripts(sqlc.arg(ids)::text[], 1) AS place
), counts AS (
    SELECT shard, count(*) AS facts FROM facts GROUP BY shard
), taken AS (
    INSERT INTO outbox_shards (shard, last_sequence)
    SELECT counts.shard, sqlc.arg(created_at)::bigint + counts.facts - 1 FROM counts ORDER BY counts.shard
    ON CONFLICT (shard) DO UPDATE SET last_sequence = GREATEST(excluded.last_sequence,
        outbox_shards.last_sequence + excluded.last_sequence - sqlc.arg(created_at)::bigint + 1)
    RETURNING shard, last_sequence
)
INSERT INTO outbox (id, tenant_id, sequence, envelope, created_at, sent_at)
SELECT facts.id, facts.tenant_id,
    taken.last_sequence + 1 - row_number() OVER (PARTITION BY facts.shard ORDER BY facts.place DESC),
    facts.envelope, sqlc.arg(created_at)::bigint, 0
FROM facts JOIN taken ON taken.shard = facts.shard;

-- name: MarkAllSent :exec
UPDATE outbox SET sent_at = sqlc.arg(sent_at)::bigint WHERE id = ANY(sqlc.arg(ids)::text[]);
