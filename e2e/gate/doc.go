// Package gate proves what the gateway promises, with its real binary under
// load: configurations change, a new binary takes over and upstreams die, and
// no request fails and no stream is cut.
//
//	swap_test.go         configurations change (whole: make gateway-proofs)
//	move_test.go         a listener moves to all addresses and back
//	takeover_test.go     a new binary takes over
//	quota_test.go        gateways share a limit
//	soak_test.go         upstreams die and come back; nothing leaks (whole: make gateway-soak)
//	conformance_test.go  suites of others, by scripts/conformance.sh; wrapper_test.go
//	                     is the server of Connect's, probe_test.go Http11Probe and smuggler,
//	                     websocket_test.go coder/websocket
package gate
