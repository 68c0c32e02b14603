//go:build !linux

// Package gateway compares the gateway with nginx, HAProxy and the standard
// library's ReverseProxy. It needs Linux: processors are told apart by /proc
// and affinity.
package gateway

import "github.com/backlot-video/backlot/bench/internal/measure"

// Benches are none here.
var Benches []measure.Bench
