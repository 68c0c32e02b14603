//go:build !linux

// Package configstore compares the configstore with etcd. It needs Linux:
// processor time is read from /proc.
package configstore

import "github.com/backlot-video/backlot/bench/internal/measure"

// Benches are none here.
var Benches []measure.Bench
