package tcc

import "time"

// MaxBranches bounds the branches of one transaction.
const MaxBranches = 64

// Spec is what a transaction consists of. It never changes, but that an
// initiator's gets its branches one by one.
type Spec struct {
	Mode      Mode
	Branches  []Branch // 1 to MaxBranches, with ids of their own; none at the start for an Initiator
	Policy    Policy
	NotifyURL string // who is told of the end; empty: nobody
}

// Branch is one participant's share: of a service by its name, or of any
// server by HTTP.
type Branch struct {
	ID          string
	Service     string // resolved at each call; empty with HTTP
	Action      string
	PayloadType string // type URL of the payload; empty when there is none
	Payload     []byte // opaque here
	HTTP        *HTTP  // in place of the four above; else nil
	Policy      Policy
}

// HTTP is where a participant takes its calls. Nil calls are those that never
// come: Try by an initiator, Confirm of a saga.
type HTTP struct{ Try, Confirm, Cancel *HTTPCall }

// Of is the call of a phase, or nil.
func (h *HTTP) Of(phase Phase) *HTTPCall {
	switch phase {
	case Try:
		return h.Try
	case Confirm:
		return h.Confirm
	case Cancel:
		return h.Cancel
	default:
		return nil
	}
}

// HTTPCall is one POST.
type HTTPCall struct {
	URL     string
	Body    []byte // JSON; empty means that the call's names are the body
	Headers []Header
}

// Header is one of a call's own headers.
type Header struct{ Name, Value string }

// Policy bounds calls. Zero fields mean those of the transaction, and of the
// coordinator.
type Policy struct {
	CallTimeout  time.Duration // one call
	Attempts     int           // calls of a Confirm or Cancel before an operator is waited for
	FirstBackoff time.Duration // before the second call; doubles from there
	MostBackoff  time.Duration
}

// PolicyOf is a branch's policy: its own, else that of the transaction.
func (s Spec) PolicyOf(branch Branch) Policy {
	own, all := branch.Policy, s.Policy
	if own.CallTimeout == 0 {
		own.CallTimeout = all.CallTimeout
	}
	if own.Attempts == 0 {
		own.Attempts = all.Attempts
	}
	if own.FirstBackoff == 0 {
		own.FirstBackoff = all.FirstBackoff
	}
	if own.MostBackoff == 0 {
		own.MostBackoff = all.MostBackoff
	}
	return own
}
