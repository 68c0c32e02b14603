-- AddToInbox inserts nothing where the consumer knows the envelope.
-- name: AddToInbox :execrows
INSERT INTO inbox (consumer, envelope_id, tenant_id, occurred_at)
VALUES (sqlc.arg(consumer), sqlc.arg(envelope_id), sqlc.arg(tenant_id), sqlc.arg(occurred_at))
ON CONFLICT (consumer, envelope_id) DO NOTHING;

-- name: PurgeInbox :execrows
DELETE FROM inbox WHERE (consumer, envelope_id) IN (
    SELECT old.consumer, old.envelope_id FROM inbox AS old
    WHERE old.occurred_at < sqlc.arg(before)
    ORDER BY old.occurred_at LIMIT sqlc.arg(max_rows)
);
