-- AddReconciliation inserts nothing where the key is taken.
-- name: AddReconciliation :execrows
INSERT INTO reconciliations (id, tenant_id, name, state, from_time, to_time, mapping, report, problem, size,
    idempotency_key, created_at, updated_at)
VALUES (sqlc.arg(id), sqlc.arg(tenant_id), sqlc.arg(name), 1, sqlc.arg(from_time), sqlc.arg(to_time), sqlc.arg(mapping),
    sqlc.arg(report), '', 0, sqlc.arg(idempotency_key), sqlc.arg(now), sqlc.arg(now))
ON CONFLICT (tenant_id, idempotency_key) DO NOTHING;

-- name: GetReconciliation :one
SELECT * FROM reconciliations WHERE tenant_id = sqlc.arg(tenant_id) AND id = sqlc.arg(id);

-- name: FindReconciliation :one
SELECT * FROM reconciliations WHERE tenant_id = sqlc.arg(tenant_id) AND idempotency_key = sqlc.arg(idempotency_key);

-- ListReconciliations gives those before an id, the newest first.
-- name: ListReconciliations :many
SELECT * FROM reconciliations
WHERE tenant_id = sqlc.arg(tenant_id) AND id < sqlc.arg(before_id)
ORDER BY id DESC
LIMIT sqlc.arg(max_rows);

-- name: AddReconciliationPart :exec
INSERT INTO reconciliation_parts (reconciliation_id, start, data)
VALUES (sqlc.arg(reconciliation_id), sqlc.arg(start), sqlc.arg(data));

-- GrowReconciliation changes nothing where the file is not of this size.
-- name: GrowReconciliation :execrows
UPDATE reconciliations SET size = sqlc.arg(next_size), updated_at = sqlc.arg(now)
WHERE tenant_id = sqlc.arg(tenant_id) AND id = sqlc.arg(id) AND state = 1 AND size = sqlc.arg(size);

-- name: GetReconciliationPart :one
SELECT data FROM reconciliation_parts WHERE reconciliation_id = sqlc.arg(reconciliation_id) AND start = sqlc.arg(start);

-- name: DropReconciliationParts :exec
DELETE FROM reconciliation_parts WHERE reconciliation_id = sqlc.arg(reconciliation_id);

-- EndReconciliation changes nothing where it has ended.
-- name: EndReconciliation :execrows
UPDATE reconciliations SET state = sqlc.arg(state), report = sqlc.arg(report), problem = sqlc.arg(problem), updated_at = sqlc.arg(now)
WHERE tenant_id = sqlc.arg(tenant_id) AND id = sqlc.arg(id) AND state = 1;

-- name: AddReconciliationDifference :exec
INSERT INTO reconciliation_differences (reconciliation_id, place, difference)
VALUES (sqlc.arg(reconciliation_id), sqlc.arg(place), sqlc.arg(difference));

-- name: ListReconciliationDifferences :many
SELECT place, difference FROM reconciliation_differences
WHERE reconciliation_id = sqlc.arg(reconciliation_id) AND place > sqlc.arg(after_place)
ORDER BY place
LIMIT sqlc.arg(max_rows);

-- ListPayments gives what went through the payment provider of what began in
-- a time: transfers of two types, by id.
-- name: ListPayments :many
SELECT transfers.*, ledgers.currency FROM transfers JOIN ledgers ON ledgers.number = transfers.ledger
WHERE transfers.tenant_id = sqlc.arg(tenant_id) AND transfers.id > sqlc.arg(after_id)
  AND transfers.type IN (sqlc.arg(first_type), sqlc.arg(second_type))
  AND transfers.created_at >= sqlc.arg(from_time) AND transfers.created_at < sqlc.arg(to_time)
ORDER BY transfers.id
LIMIT sqlc.arg(max_rows);
