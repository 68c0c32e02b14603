// Package participant calls participants and tells refusals from failures.
//
//	participant.go  services, by the contract backlot.tcc.v1 and their names
//	http.go         any server, by plain HTTP
//	plain.go        the connections of http:// calls
//	allow.go        which addresses that may be
//
// A service is found at every call. The package retries nothing: the runner
// does. It is safe for concurrent use.
package participant

import (
	"context"
	"errors"
	"net/http"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/backlot-video/backlot/kit/identity"
	tccv1 "github.com/backlot-video/backlot/proto/gen/backlot/tcc/v1"
	"github.com/backlot-video/backlot/proto/rpcdesc"
	"github.com/backlot-video/backlot/services/coordinator/internal/runner"
	"github.com/backlot-video/backlot/services/coordinator/internal/tcc"
)

// Self is the service name that coordinator calls with.
const Self = "coordinator"

// Participants is a runner.Participants.
type Participants struct {
	dial  func(service string) rpcdesc.Conn
	allow AllowList
	http  *http.Client
}

var _ runner.Participants = (*Participants)(nil)

// New makes Participants that reach a service by dial, and the addresses of an
// allow list by plain HTTP.
func New(dial func(service string) rpcdesc.Conn, allow AllowList) *Participants {
	return &Participants{dial: dial, allow: allow, http: newHTTPClient()}
}

// Close ends the connections that are kept. No call may follow.
func (p *Participants) Close() { p.http.CloseIdleConnections() }

// Call implements runner.Participants.
func (p *Participants) Call(ctx context.Context, key runner.Key, branch tcc.Branch, phase tcc.Phase) (tcc.Outcome, string) {
	if branch.HTTP != nil {
		return p.callHTTP(ctx, key, branch, phase)
	}
	ctx = identity.With(ctx, identity.Principal{Kind: identity.Service, ID: Self, TenantID: key.TenantID})
	message := &tccv1.Branch{Xid: key.XID, BranchId: branch.ID, TenantId: key.TenantID, Action: branch.Action}
	if branch.PayloadType != "" {
		message.Payload = &anypb.Any{TypeUrl: branch.PayloadType, Value: branch.Payload}
	}
	client := tccv1.NewParticipantServiceClient(p.dial(branch.Service))
	var err error
	switch phase {
	case tcc.Try:
		_, err = client.Try(ctx, &tccv1.TryRequest{Branch: message})
	case tcc.Confirm:
		_, err = client.Confirm(ctx, &tccv1.ConfirmRequest{Branch: message})
	case tcc.Cancel:
		_, err = client.Cancel(ctx, &tccv1.CancelRequest{Branch: message})
	}
	return outcome(err), problem(err)
}

// outcome is what an error means by the contract.
func outcome(err error) tcc.Outcome {
	if err == nil {
		return tcc.Succeeded
	}
	switch connect.CodeOf(err) {
	case connect.CodeUnavailable, connect.CodeDeadlineExceeded, connect.CodeAborted, connect.CodeInternal,
		connect.CodeUnknown, connect.CodeResourceExhausted, connect.CodeCanceled:
		return tcc.Failed
	default:
		return tcc.Refused
	}
}

// problem is an error as it is logged and shown: its message, and its code
// where that is not what every refusal has.
func problem(err error) string {
	if err == nil {
		return ""
	}
	var coded *connect.Error
	if !errors.As(err, &coded) {
		return limit(err.Error())
	}
	if coded.Code() == connect.CodeFailedPrecondition {
		return limit(coded.Message())
	}
	return limit(coded.Code().String() + ": " + coded.Message())
}

// maxProblem bounds what a participant can have us keep, in bytes.
const maxProblem = 512

func limit(text string) string {
	if len(text) <= maxProblem {
		return text
	}
	cut := maxProblem
	for cut > 0 && text[cut]&0xC0 == 0x80 { // not within a character
		cut--
	}
	return text[:cut]
}
