// Package check tells whether an installation's books, rights and videos hold
// together. It reads them through the public operator API and recomputes
// everything from the ledger's postings and from the orders; it shares no code
// with the services.
//
//	state.go   State: what the API says, and Settle, which waits for it to rest
//	books.go   accounts, transfers and their postings
//	sales.go   orders, entitlements, transactions
//	chain.go   the ledger's hash chain, from the rows of its SQLite file
//	facts.go   messages told of sales, read from the broker
//	play.go    published videos, every segment
//	orphan.go  FFmpeg processes whose service died
//
// Faults are sentences for people; none means that all holds.
package check
