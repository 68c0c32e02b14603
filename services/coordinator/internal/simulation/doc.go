// Package simulation has tests alone: the coordinator's real runner and state
// machine in a world of their own time, where everything goes wrong that can.
//
//	world_test.go     a world of one seed: hosts, clients, an operator, its end
//	host_test.go      coordinators that die at any write, with clocks that jump
//	memory_test.go    the store: slow, failing, and outliving coordinators
//	network_test.go   calls that are lost, late, repeated and reordered
//	bank_test.go      participants: accounts and reservations behind a barrier
//	client_test.go    who submits, who drives a transaction by itself, who operates
//	oracle_test.go    what must hold in the end
//	everywrite_test.go  a death before and after each write, one by one
//	mutation_test.go  faults planted in the state machine, each of which is found
//
// Whatever happens is drawn from the seed and the name of what it happens to,
// so that a seed is the same story again: BACKLOT_SEED=n replays one, with its
// trace. Unit tests run with the race detector and see 1,000 seeds; `make
// simulation`, which is part of `make test`, runs 10,000 without it.
package simulation
