// Package tcc drives one global transaction by Try, Confirm and Cancel, or as
// a saga of actions and compensations, or for an initiator who calls Try
// itself. It is the pure core of the coordinator:
// it holds no clock, goroutine or connection, and callers step it.
//
//	doc.go      what a transaction is and the contract with the caller
//	state.go    the enumerations, as they are stored and logged
//	spec.go     what a caller asks for
//	validate.go its validation and its digest
//	record.go   the log: one Record per step of a branch
//	machine.go  Machine: an event in, records to log and calls to make out
//	decide.go   the protocols' answers to an event
//	order.go    what an initiator or an operator orders
//	replay.go   Restore: a Machine from its log
//
// The contract: a caller appends Output.Records durably, in order, before it
// makes any of Output.Calls, and gives each call's result back to Step. A
// Machine changes only by its own records, so Restore of a log gives a Machine
// that goes on where that log ends, whenever the process died.
//
// What it relies on: participants accept repeated calls, and a Cancel before
// its Try, after which that Try is refused (kit/tcc's barrier does this).
// A Machine is not safe for concurrent use.
package tcc
