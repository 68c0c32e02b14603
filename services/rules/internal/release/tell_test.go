package release

import (
	"context"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	eventv1 "github.com/backlot-video/backlot/proto/gen/backlot/event/v1"
	rulesv1 "github.com/backlot-video/backlot/proto/gen/backlot/rules/v1"
	"github.com/backlot-video/backlot/services/rules/internal/catalog"
)

func TestStepsAreToldOnceAndAfterACrash(t *testing.T) {
	b := newBench(t)
	b.start(t, b.version(t, "review"), full)
	b.start(t, b.version(t, "deny"), shadow)
	file := filepath.Join(t.TempDir(), "told.json")
	var told []string
	var down error
	teller := func() *Teller {
		return NewTeller(TellerConfig{
			Follower: b.Follower, File: file, Log: slog.New(slog.DiscardHandler), Clock: func() time.Time { return b.now },
			Publish: func(_ context.Context, envelope *eventv1.Envelope) error {
				if down != nil && len(told) == 1 {
					return down
				}
				told = append(told, envelope.GetId())
				return nil
			},
		})
	}
	down = errors.New("the broker is away")
	if err := teller().tellSteps(t.Context()); !errors.Is(err, down) || len(told) != 1 {
		t.Fatalf("%v, %d told", err, len(told))
	}
	down = nil
	b.now = b.now.Add(24 * time.Hour) // as late as it may be
	again := teller()
	for range 2 {
		if err := again.tellSteps(t.Context()); err != nil || len(told) != 2 || told[0] == told[1] {
			t.Fatalf("%v, told %v", err, told)
		}
	}
	// Who has forgotten tells under the same ids what is new, and no more.
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if err := teller().tellSteps(t.Context()); err != nil || len(told) != 2 {
		t.Errorf("%v, told %v", err, told)
	}
	b.now = b.now.Add(-24 * time.Hour)
	if err := teller().tellSteps(t.Context()); err != nil || len(told) != 4 || told[2] != told[0] || told[3] != told[1] {
		t.Errorf("%v, told %v", err, told)
	}
}

func TestAlarmsAreBounded(t *testing.T) {
	b := newBench(t)
	teller := NewTeller(TellerConfig{
		Follower: b.Follower, File: filepath.Join(t.TempDir(), "told.json"), Log: slog.New(slog.DiscardHandler), Clock: time.Now,
	})
	for range maxAlarms + 5 {
		teller.Refused(catalog.Refusal{Ruleset: "r", Reason: strings.Repeat("高", 2000)})
	}
	if waiting := teller.takeAlarms(); len(waiting) != maxAlarms {
		t.Errorf("%d wait", len(waiting))
	}
}

func TestWebhooksAreSignedAndRepeatable(t *testing.T) {
	secret := []byte("0123456789abcdef")
	type delivery struct {
		header http.Header
		body   []byte
	}
	var got []delivery
	status := http.StatusInternalServerError
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = append(got, delivery{r.Header, body})
		if status == http.StatusFound {
			w.Header().Set("Location", "http://127.0.0.1:1/elsewhere")
		}
		w.WriteHeader(status)
	}))
	defer server.Close()
	sent := HookMetrics(nil)
	hook, err := NewHook(server.URL+"/hook?token=hush", secret, func() time.Time { return time.Unix(1_700_000_000, 0) }, sent)
	if err != nil {
		t.Fatal(err)
	}
	envelope, err := envelopeOf(ReleasedType, "payments", 1, &rulesv1.RulesetReleased{Ruleset: "payments", Transition: &rulesv1.Transition{Number: 3}}, "3")
	if err != nil {
		t.Fatal(err)
	}
	for _, status = range []int{http.StatusInternalServerError, http.StatusFound} {
		if err := hook.Send(t.Context(), envelope); !errors.Is(err, ErrWebhook) || strings.Contains(err.Error(), "hush") {
			t.Errorf("%d: %v", status, err)
		}
	}
	status = http.StatusNoContent
	if err := hook.Send(t.Context(), envelope); err != nil || len(got) != 3 {
		t.Fatalf("%v after %d requests", err, len(got))
	}
	last := got[2]
	want := "v1=" + hex.EncodeToString(Sign(secret, "1700000000", last.body))
	if last.header.Get(HeaderSignature) != want || last.header.Get(HeaderTimestamp) != "1700000000" || last.header.Get(HeaderDelivery) != got[0].header.Get(HeaderDelivery) {
		t.Errorf("headers %v", last.header)
	}
	if !strings.Contains(string(last.body), `"ruleset":"payments"`) || last.header.Get(HeaderEvent) != ReleasedType {
		t.Errorf("body %s", last.body)
	}
	server.Close()
	if err := hook.Send(t.Context(), envelope); !errors.Is(err, ErrWebhook) || strings.Contains(err.Error(), "hush") {
		t.Errorf("nobody there: %v", err)
	}
	if err := hook.Consumer().Validate(); err != nil {
		t.Error(err)
	}
}

func TestWebhooksGoNowhereElse(t *testing.T) {
	secret := []byte("0123456789abcdef")
	for _, address := range []string{"", "hook", "http://example.com/x", "ftp://127.0.0.1", "https://user:hush@example.com", "https://", "http://127.0.0.1.example.com/", "\x00hush"} {
		if _, err := NewHook(address, secret, nil, nil); !errors.Is(err, ErrWebhook) || strings.Contains(err.Error(), "hush") {
			t.Errorf("%q: %v", address, err)
		}
	}
	for _, address := range []string{"https://example.com/x", "http://localhost:1", "http://[::1]:1/x"} {
		if _, err := NewHook(address, secret, nil, nil); err != nil {
			t.Errorf("%q: %v", address, err)
		}
	}
	if _, err := NewHook("https://example.com/x", secret[1:], nil, nil); !errors.Is(err, ErrWebhook) {
		t.Errorf("a short secret: %v", err)
	}
}
