// Package runner drives global transactions: it gives tcc's machines their
// clock, goroutines, durable log and calls.
//
//	store.go    what is kept of a transaction, and the Store it is kept in
//	runner.go   Runner: Config, Submit, Retry, Run
//	filter.go   List and what it filters by
//	order.go    orders to a transaction: register, confirm, cancel, retry, force
//	drive.go    one transaction under way: log, then call, until it ends
//	session.go  the lease under which this process owns transactions; recovery
//	retain.go   removing what ended long ago
//	backoff.go  waits between repeated calls
//	crash.go    where tests kill the process
//	metrics.go  what is measured
//
// Every transaction under way has one goroutine, and one more for each call
// in flight. At most Config.MaxActive are under way; more are refused with
// ErrBusy. The package speaks no RPC and no SQL. A Runner is safe for
// concurrent use.
package runner
