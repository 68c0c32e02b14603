package api_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/backlot-video/backlot/kit/identity"
	"github.com/backlot-video/backlot/kit/rpc"
	coordinatorv1 "github.com/backlot-video/backlot/proto/gen/backlot/coordinator/v1"
	"github.com/backlot-video/backlot/services/coordinator/internal/api"
	"github.com/backlot-video/backlot/services/coordinator/internal/message"
	"github.com/backlot-video/backlot/services/coordinator/internal/participant"
	"github.com/backlot-video/backlot/services/coordinator/internal/runner"
	"github.com/backlot-video/backlot/services/coordinator/internal/tcc"
)

// door is a runner that checks what has come through the API.
type door struct {
	api.Runner
	t     *testing.T
	allow participant.AllowList
}

func (d *door) Submit(_ context.Context, s runner.Submission) (runner.Status, error) {
	if err := s.Spec.Validate(); err != nil {
		return runner.Status{}, err // as the runner does
	}
	if s.XID == "" || s.TenantID != "main" || s.Timeout < 0 {
		d.t.Errorf("submitted as %+v", s)
	}
	for _, branch := range s.Spec.Branches {
		d.check(branch)
	}
	return runner.Status{
		Transaction: runner.Transaction{Key: s.Key, Spec: s.Spec, State: tcc.Trying}, Branches: make([]tcc.Progress, len(s.Spec.Branches)),
	}, nil
}

func (d *door) Register(_ context.Context, _ runner.Key, branch tcc.Branch) error {
	if _, err := tcc.New(tcc.Spec{Mode: tcc.Initiator}, 1).Register(branch); err == nil {
		d.check(branch)
	}
	return nil
}

// check: a branch that is taken calls allowed addresses alone, and the log
// gives it back as it was.
func (d *door) check(branch tcc.Branch) {
	if branch.HTTP != nil {
		for phase := tcc.Try; phase <= tcc.Cancel; phase++ {
			if call := branch.HTTP.Of(phase); call != nil && d.allow.Check(call.URL) != nil {
				d.t.Errorf("%v would call %s", phase, call.URL)
			}
		}
	}
	raw, err := proto.Marshal(message.Branch(branch))
	if err != nil {
		d.t.Errorf("%+v cannot be stored: %v", branch, err)
	}
	var stored coordinatorv1.BranchSpec
	if err := proto.Unmarshal(raw, &stored); err != nil {
		d.t.Error(err)
	}
	digest := func(b tcc.Branch) [32]byte { return tcc.Spec{Mode: tcc.TCC, Branches: []tcc.Branch{b}}.Digest() }
	if again := message.BranchOf(&stored); digest(again) != digest(branch) {
		d.t.Errorf("%+v is stored as %+v", branch, again)
	}
}

// FuzzSubmitJSON sends JSON through the whole chain.
func FuzzSubmitJSON(f *testing.F) {
	f.Add("Submit", `{"xid":"a","branches":[{"branchId":"b","http":{"try":{"url":"http://shop.example/tcc","body":{"n":[1,2.5,"x",null]}},"confirm":{"url":"http://shop.example/tcc","headers":{"A":"b"}},"cancel":{"url":"http://shop.example/tcc"}},"policy":{"attempts":3,"callTimeout":"1.5s"}}]}`)
	f.Add("Submit", `{"idempotencyKey":"k","mode":"MODE_SAGA","timeout":"3s","branches":[{"branchId":"b","service":"s","action":"a","payload":{"@type":"type.googleapis.com/google.protobuf.Struct","value":{"a":1}}}]}`)
	f.Add("OpenTransaction", `{"notifyUrl":"http://shop.example/tcc/ended"}`)
	f.Add("RegisterBranch", `{"xid":"a","branch":{"branchId":"b","http":{"confirm":{"url":"http://shop.example/tcc","rawBody":"[1]"},"cancel":{"url":"http://127.0.0.1/"}}}}`)
	allow, err := participant.ParseAllowList("http://shop.example/tcc")
	if err != nil {
		f.Fatal(err)
	}
	behind := &door{allow: allow}
	server := rpc.NewServer(rpc.ServerConfig{Service: "coordinator", Verifier: names{}, Log: slog.New(slog.DiscardHandler)})
	server.Handle(coordinatorv1.CoordinatorServiceDesc, api.New(behind, api.Config{Allow: allow.Check}))
	f.Fuzz(func(t *testing.T, method, body string) {
		if method != "Submit" && method != "OpenTransaction" && method != "RegisterBranch" {
			return
		}
		behind.t = t
		request := httptest.NewRequest(http.MethodPost, "/backlot.coordinator.v1.CoordinatorService/"+method, strings.NewReader(body))
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set(identity.Header, "service")
		recorder := httptest.NewRecorder()
		server.Handler().ServeHTTP(recorder, request)
		switch code := recorder.Code; code {
		case http.StatusOK, http.StatusBadRequest:
		default:
			t.Errorf("%s %s: %d %s", method, body, code, recorder.Body)
		}
	})
}
