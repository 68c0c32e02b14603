// Package configstore proves what the configstore promises while members die:
// three members, each a real process on a disk of its own, are killed, cut off
// and filled up under load, and what clients saw is checked.
//
//	history_test.go  clients, and what they saw
//	model_test.go    what they may have seen, for porcupine; controls that must be found
//	watch_test.go    watchers, and what they may have seen
//	fault_test.go    what goes wrong
//	outage_test.go   clients with a snapshot while all members are down
//	repeat_test.go   what is asked for again for want of an answer
//	proof_test.go    the proof whole
//	lazyfs_test.go   power cuts, which take what was not synced (make cluster-power)
//	rekey_test.go    another key for secrets, while they are written
//	rollout_test.go  what any member shows of instances that report to others
//	etcd_test.go     the verb etcd
//	mixed_test.go    the verb etcd beside etcd 3.6, in one cluster (make cluster-mixed)
//
// BACKLOT_SEED=n plays other operations and another order of faults: the same
// ones again for the same seed, though processes of an operating system never
// interleave twice alike. BACKLOT_ROUNDS=n plays all faults n times.
package configstore
