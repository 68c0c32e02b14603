-- RunBefore gives the last run of an account that ends before a time, or at it
-- up to a place in the chain.
-- name: RunBefore :one
SELECT at, sequence, debits, credits FROM runs
WHERE account = sqlc.arg(account) AND (at < sqlc.arg(before) OR at = sqlc.arg(before) AND sequence <= sqlc.arg(sequence))
ORDER BY at DESC, sequence DESC
LIMIT 1;

-- RunsAfter gives the runs of an account that end after that, in order.
-- name: RunsAfter :many
SELECT at, sequence, debits, credits, lines FROM runs
WHERE account = sqlc.arg(account) AND (at > sqlc.arg(after) OR at = sqlc.arg(after) AND sequence > sqlc.arg(sequence))
ORDER BY at, sequence
LIMIT sqlc.arg(max_rows);

-- name: AddMoves :exec
INSERT INTO moves (ledger, sequence, first, at, moves)
VALUES (sqlc.arg(ledger), sqlc.arg(sequence), sqlc.arg(first), sqlc.arg(at), sqlc.arg(moves));

-- ListMoves gives the end of a ledger's chain, up to where all is sorted, and
-- what is not sorted after a place, in order; zeros where that is nothing.
-- name: ListMoves :many
SELECT ledgers.sequence AS head, ledgers.sorted_to, CAST(COALESCE(moves.sequence, 0) AS BIGINT) AS sequence,
    CAST(COALESCE(moves.first, 0) AS BIGINT) AS first, CAST(COALESCE(moves.at, 0) AS BIGINT) AS at, moves.moves
FROM ledgers LEFT JOIN moves ON moves.ledger = ledgers.number AND moves.sequence > sqlc.arg(after_sequence)
    AND moves.sequence > ledgers.sorted_to
WHERE ledgers.number = sqlc.arg(ledger)
ORDER BY moves.sequence;

-- MovesUpTo gives moves that are stored up to a place, in order.
-- name: MovesUpTo :many
SELECT sequence, first, at, moves FROM moves
WHERE ledger = sqlc.arg(ledger) AND sequence > sqlc.arg(after_sequence) AND sequence <= sqlc.arg(up_to)
ORDER BY sequence
LIMIT sqlc.arg(max_rows);

-- name: DeleteMoves :exec
DELETE FROM moves WHERE ledger = sqlc.arg(ledger) AND sequence > sqlc.arg(after_sequence) AND sequence <= sqlc.arg(up_to);

-- PlaceOf gives what a statement says of a posted transfer.
-- name: PlaceOf :one
SELECT id, type, reference FROM transfers WHERE ledger = sqlc.arg(ledger) AND sequence = sqlc.arg(sequence) AND sequence > 0;
