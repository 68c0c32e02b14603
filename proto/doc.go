// Package proto holds Backlot's contracts: backlot/<service>/v1/*.proto and,
// in gen, the committed Go code of them. It has no code of its own.
package proto
