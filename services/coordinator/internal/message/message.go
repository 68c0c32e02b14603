// Package message turns what a transaction consists of into messages of
// coordinator.v1 and back, for the API and for the log. It validates nothing.
package message

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"

	coordinatorv1 "github.com/backlot-video/backlot/proto/gen/backlot/coordinator/v1"
	"github.com/backlot-video/backlot/services/coordinator/internal/tcc"
)

// Branch is a branch as a message. BranchOf of it is the same branch.
func Branch(b tcc.Branch) *coordinatorv1.BranchSpec {
	spec := &coordinatorv1.BranchSpec{BranchId: b.ID, Service: b.Service, Action: b.Action, Policy: Policy(b.Policy)}
	if b.PayloadType != "" {
		spec.Payload = &anypb.Any{TypeUrl: b.PayloadType, Value: b.Payload}
	}
	if b.HTTP != nil {
		spec.Http = &coordinatorv1.HttpBranch{
			Try: httpCall(b.HTTP.Try), Confirm: httpCall(b.HTTP.Confirm), Cancel: httpCall(b.HTTP.Cancel),
		}
	}
	return spec
}

func httpCall(c *tcc.HTTPCall) *coordinatorv1.HttpCall {
	if c == nil {
		return nil
	}
	call := &coordinatorv1.HttpCall{Url: c.URL, RawBody: string(c.Body)}
	for _, header := range c.Headers {
		if call.Headers == nil {
			call.Headers = make(map[string]string, len(c.Headers))
		}
		call.Headers[header.Name] = header.Value
	}
	return call
}

// BranchOf reads a branch.
func BranchOf(spec *coordinatorv1.BranchSpec) tcc.Branch {
	branch := tcc.Branch{
		ID: spec.GetBranchId(), Service: spec.GetService(), Action: spec.GetAction(),
		PayloadType: spec.GetPayload().GetTypeUrl(), Payload: spec.GetPayload().GetValue(),
		Policy: PolicyOf(spec.GetPolicy()),
	}
	if http := spec.GetHttp(); http != nil {
		branch.HTTP = &tcc.HTTP{Try: httpCallOf(http.GetTry()), Confirm: httpCallOf(http.GetConfirm()), Cancel: httpCallOf(http.GetCancel())}
	}
	return branch
}

// httpCallOf reads a call. Its body is made JSON once, here, so that every
// repeat of the call and of the request has the same bytes.
func httpCallOf(call *coordinatorv1.HttpCall) *tcc.HTTPCall {
	if call == nil {
		return nil
	}
	c := &tcc.HTTPCall{URL: call.GetUrl()}
	if call.GetRawBody() != "" {
		c.Body = []byte(call.GetRawBody())
	} else if call.GetBody() != nil {
		body, err := json.Marshal(call.GetBody().AsInterface())
		if err != nil { // a number that JSON does not have: NaN
			body = []byte("NaN")
		}
		c.Body = body
	}
	for name, value := range call.GetHeaders() {
		c.Headers = append(c.Headers, tcc.Header{Name: name, Value: value})
	}
	slices.SortFunc(c.Headers, func(a, b tcc.Header) int { return strings.Compare(a.Name, b.Name) })
	return c
}

// Policy is a policy as a message, nil where it says nothing.
func Policy(p tcc.Policy) *coordinatorv1.CallPolicy {
	if p == (tcc.Policy{}) {
		return nil
	}
	return &coordinatorv1.CallPolicy{
		CallTimeout: duration(p.CallTimeout), Attempts: uint32(p.Attempts),
		FirstBackoff: duration(p.FirstBackoff), MostBackoff: duration(p.MostBackoff),
	}
}

// PolicyOf reads a policy.
func PolicyOf(policy *coordinatorv1.CallPolicy) tcc.Policy {
	if policy == nil {
		return tcc.Policy{}
	}
	return tcc.Policy{
		CallTimeout: policy.GetCallTimeout().AsDuration(), Attempts: int(policy.GetAttempts()),
		FirstBackoff: policy.GetFirstBackoff().AsDuration(), MostBackoff: policy.GetMostBackoff().AsDuration(),
	}
}

func duration(d time.Duration) *durationpb.Duration {
	if d == 0 {
		return nil
	}
	return durationpb.New(d)
}
