//go:build linux

// Package configstore compares the configstore with etcd, over which it is
// built.
//
//	configstore.go  the comparisons
//	rig.go          processes, load, what both take
//	ours.go         members of the configstore, called by its public API
//	peer.go         members of etcd, by its own client
//	write.go        releases beside puts: one object each, and 100 at once
//	read.go         reads: over the network, in process, of an informer
//	watch.go        one change to many subscribers
//
// The servers are processes of their own; the clients are in this one. Both
// sides keep what they write on the same disk, synced.
package configstore

import "github.com/backlot-video/backlot/bench/internal/measure"

// Benches are the comparisons of this package.
var Benches = []measure.Bench{
	{Name: "configstore/write", Run: write},
	{Name: "configstore/release", Run: release},
	{Name: "configstore/read", Run: read},
	{Name: "configstore/watch", Run: watch},
}
