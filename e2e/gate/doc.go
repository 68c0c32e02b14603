// Package gate proves what the gateway promises, with its real binary under
// load: configurations change, a new binary takes over and upstreams die, and
// no request fails and no stream is cut.
//
//	takeover_test.go     a new binary takes over
//	quota_test.go        gateways share a limit
package gate
