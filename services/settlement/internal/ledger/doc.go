// Package ledger is double-entry bookkeeping without storage: what an account
// and a transfer are, when a transfer may be booked and what that does to the
// balances, and the hash chain over what was posted.
//
//	account.go   Account, Balance, the kinds of account
//	transfer.go  Transfer, Posting and their validation
//	book.go      Book: pend, post and void transfers over a set of accounts
//	draft.go     Draft: a transfer before its accounts are known
//	chain.go     the canonical bytes and the hash of a posted transfer
//	verify.go    Verifier: recomputes a whole ledger
//
// A ledger is one tenant's transfers in one currency. The package knows no
// clock, no tenant's rights and no exchange of currencies. Values are plain;
// a Book and a Verifier are for one goroutine.
package ledger
