package participant

import (
	"context"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"github.com/backlot-video/backlot/kit/identity"
	tccv1 "github.com/backlot-video/backlot/proto/gen/backlot/tcc/v1"
	"github.com/backlot-video/backlot/proto/rpcdesc"
	"github.com/backlot-video/backlot/services/coordinator/internal/runner"
	"github.com/backlot-video/backlot/services/coordinator/internal/tcc"
)

// line records calls and answers with err.
type line struct {
	service, method, tenant string
	branch                  *tccv1.Branch
	err                     error
}

func (l *line) Call(ctx context.Context, method *rpcdesc.Method, req, _ proto.Message) error {
	l.method, l.tenant = method.Name, identity.Tenant(ctx)
	l.branch = req.(interface{ GetBranch() *tccv1.Branch }).GetBranch()
	return l.err
}

func TestCallCarriesTheBranch(t *testing.T) {
	var l line
	p := New(func(service string) rpcdesc.Conn { l.service = service; return &l }, AllowList{})
	branch := tcc.Branch{ID: "b", Service: "settlement", Action: "pay", PayloadType: "type.googleapis.com/x", Payload: []byte("p")}
	for phase, method := range map[tcc.Phase]string{tcc.Try: "Try", tcc.Confirm: "Confirm", tcc.Cancel: "Cancel"} {
		outcome, problem := p.Call(t.Context(), runner.Key{TenantID: "acme", XID: "x"}, branch, phase)
		if outcome != tcc.Succeeded || problem != "" || l.method != method {
			t.Errorf("%v: %v %q by %s", phase, outcome, problem, l.method)
		}
	}
	got := l.branch
	if l.service != "settlement" || l.tenant != "acme" || got.GetTenantId() != "acme" || got.GetXid() != "x" ||
		got.GetBranchId() != "b" || got.GetAction() != "pay" || string(got.GetPayload().GetValue()) != "p" {
		t.Errorf("%s of %s got %v", l.service, l.tenant, got)
	}
}

func TestOutcomeTellsRefusalsFromFailures(t *testing.T) {
	failed := map[connect.Code]bool{
		connect.CodeUnavailable: true, connect.CodeDeadlineExceeded: true, connect.CodeAborted: true,
		connect.CodeInternal: true, connect.CodeUnknown: true, connect.CodeResourceExhausted: true, connect.CodeCanceled: true,
	}
	for code := connect.CodeCanceled; code <= connect.CodeUnauthenticated; code++ {
		want := tcc.Refused
		if failed[code] {
			want = tcc.Failed
		}
		if got := outcome(connect.NewError(code, errors.New("no"))); got != want {
			t.Errorf("%v: %v, want %v", code, got, want)
		}
	}
	if got := outcome(errors.New("odd")); got != tcc.Failed {
		t.Errorf("an error without a code: %v", got)
	}
}

func TestProblemIsBounded(t *testing.T) {
	long := problem(connect.NewError(connect.CodeFailedPrecondition, errors.New(strings.Repeat("€", 400))))
	if len(long) > maxProblem || !utf8.ValidString(long) {
		t.Errorf("%d bytes, valid %v", len(long), utf8.ValidString(long))
	}
	if got := problem(connect.NewError(connect.CodeNotFound, errors.New("no account"))); got != "not_found: no account" {
		t.Errorf("got %q", got)
	}
}
