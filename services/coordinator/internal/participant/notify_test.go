package participant

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"google.golang.org/protobuf/types/known/anypb"

	coordinatorv1 "github.com/backlot-video/backlot/proto/gen/backlot/coordinator/v1"
	eventv1 "github.com/backlot-video/backlot/proto/gen/backlot/event/v1"
)

func endedFact(t *testing.T, url string) *eventv1.Envelope {
	t.Helper()
	data, err := anypb.New(&coordinatorv1.TransactionEnded{
		Xid: "order/1", State: coordinatorv1.TransactionState_TRANSACTION_STATE_CANCELLED, Problem: "b: no", NotifyUrl: url,
	})
	if err != nil {
		t.Fatal(err)
	}
	return &eventv1.Envelope{Id: "event-1", TenantId: "acme", Data: data}
}

func TestNotifyEndPostsTheFact(t *testing.T) {
	status := http.StatusNoContent
	var got *http.Request
	var body string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, _ := io.ReadAll(r.Body)
		got, body = r, string(raw)
		w.WriteHeader(status)
	}))
	defer server.Close()
	p := New(nil, allowing(t, server.URL+"/ended"))
	defer p.Close()
	for status = range map[int]bool{204: true, 200: true, 307: true, 404: true, 500: true} {
		err := p.NotifyEnd(t.Context(), endedFact(t, server.URL+"/ended/here"))
		if (err == nil) != (status < 300) {
			t.Errorf("%d: %v", status, err)
		}
		var told map[string]any
		if err := json.Unmarshal([]byte(body), &told); err != nil || told["xid"] != "order/1" || told["state"] != "TRANSACTION_STATE_CANCELLED" {
			t.Errorf("told %s, %v", body, err)
		}
		if got.Header.Get(HeaderEvent) != "event-1" || got.Header.Get("Backlot-Xid") != "order%2F1" || got.Header.Get("Backlot-Tenant") != "acme" {
			t.Errorf("headers %v", got.Header)
		}
	}
	got = nil
	if err := p.NotifyEnd(t.Context(), endedFact(t, server.URL+"/other")); err == nil || !strings.Contains(err.Error(), "allow list") || got != nil {
		t.Errorf("not allowed: %v", err)
	}
	if err := p.NotifyEnd(t.Context(), endedFact(t, "")); err != nil || got != nil {
		t.Errorf("nobody to tell: %v", err)
	}
}
