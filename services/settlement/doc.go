// Package settlement is a double-entry ledger as a library: accounts, transfers
// that are posted, pending or voided, a hash chain over what was posted, on
// SQLite or PostgreSQL. The service around it, with splits, payouts and
// reconciliation, is wired in package service.
//
//	books, err := settlement.Connect(ctx, database.Config{DataDir: "data"}, settlement.Config{})
//	results := books.Book(ctx, "main", []settlement.Request{{Action: settlement.ActionBook, Draft: ...}})
package settlement
