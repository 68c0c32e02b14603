-- HistoryBefore gives the last posting of an account before a time, or at it up
-- to a place in the chain.
-- name: HistoryBefore :one
SELECT debits, credits FROM history
WHERE account = sqlc.arg(account) AND (at < sqlc.arg(before) OR at = sqlc.arg(before) AND sequence <= sqlc.arg(sequence))
ORDER BY at DESC, sequence DESC
LIMIT 1;

-- ListStatement gives an account's postings of a time, by time and place in
-- the chain.
-- name: ListStatement :many
SELECT history.at, history.sequence, history.debits, history.credits, transfers.id, transfers.type, transfers.reference
FROM history JOIN transfers ON transfers.ledger = sqlc.arg(ledger) AND transfers.sequence = history.sequence AND transfers.sequence > 0
WHERE history.account = sqlc.arg(account) AND history.at >= sqlc.arg(from_time) AND history.at < sqlc.arg(to_time)
  AND (history.at > sqlc.arg(after_time) OR history.at = sqlc.arg(after_time) AND history.sequence > sqlc.arg(after_sequence))
ORDER BY history.at, history.sequence
LIMIT sqlc.arg(max_rows);
