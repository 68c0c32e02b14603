package upstream

import "time"

// Result is how a try at an endpoint ended.
type Result uint8

// The results.
const (
	// Answered: the answer's head came; Status tells how it is to be judged.
	Answered Result = iota
	// Unreached: no connection could be made, or no handshake.
	Unreached
	// Broken: the connection broke, or what came was no HTTP.
	Broken
	// TimedOut: the answer's head did not come in time.
	TimedOut
	// Aborted: the client went away or the gateway gave up for reasons of its
	// own. It says nothing about the endpoint.
	Aborted
	// Refused: a bound of ours kept the try from the endpoint. It says nothing
	// about the endpoint.
	Refused
	results
)

var resultNames = [results]string{"answered", "unreached", "broken", "timed_out", "aborted", "refused"}

// Outcome is what became of a try.
type Outcome struct {
	Result Result
	// Status of an answer. Engines of gRPC give the HTTP status that its
	// grpc-status stands for.
	Status int
	// Took is the time from Begin to the answer's head, or to the end where
	// there was none. Probes are told by it from tries that began before.
	Took time.Duration
}

// failed tells whether it is the endpoint's failure: no answer, or 500 and up.
func (o Outcome) failed() bool {
	switch o.Result {
	case Answered:
		return o.Status >= 500
	case Unreached, Broken, TimedOut:
		return true
	default:
		return false
	}
}
