// Package configstore holds typed, versioned configuration on Raft. See service
// for the wiring.
package configstore
