-- SumPostings sums what was posted to an account before a time, or at it up
-- to a place in the chain.
-- name: SumPostings :one
SELECT CAST(COALESCE(SUM(CASE WHEN postings.side = 1 THEN postings.amount ELSE 0 END), 0) AS BIGINT) AS debits,
    CAST(COALESCE(SUM(CASE WHEN postings.side = 2 THEN postings.amount ELSE 0 END), 0) AS BIGINT) AS credits
FROM postings JOIN transfers ON transfers.id = postings.transfer_id
WHERE postings.account_id = sqlc.arg(account_id) AND transfers.state = 2
  AND (transfers.ended_at < sqlc.arg(before) OR transfers.ended_at = sqlc.arg(before) AND transfers.sequence <= sqlc.arg(sequence));

-- ListStatement gives an account's posted lines of a time, by time and
-- place in the chain.
-- name: ListStatement :many
SELECT transfers.ended_at, transfers.sequence, transfers.id, transfers.type, transfers.reference, postings.side, postings.amount
FROM postings JOIN transfers ON transfers.id = postings.transfer_id
WHERE postings.account_id = sqlc.arg(account_id) AND transfers.state = 2
  AND transfers.ended_at >= sqlc.arg(from_time) AND transfers.ended_at < sqlc.arg(to_time)
  AND (transfers.ended_at > sqlc.arg(after_time)
    OR transfers.ended_at = sqlc.arg(after_time) AND transfers.sequence > sqlc.arg(after_sequence))
ORDER BY transfers.ended_at, transfers.sequence
LIMIT sqlc.arg(max_rows);
