package tcc_test

import (
	"context"
	"database/sql"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/backlot-video/backlot/kit/database"
	"github.com/backlot-video/backlot/kit/database/databasetest"
	"github.com/backlot-video/backlot/kit/tcc"
)

func TestHTTPHandlerAnswers(t *testing.T) {
	errSold := errors.New("sold out")
	databasetest.Each(t, "kit", func(t *testing.T, db *database.DB) {
		transact := func(ctx context.Context, fn func(context.Context, *sql.Tx) error) error { return db.Write(ctx, fn) }
		handler := tcc.NewHTTPHandler(transact, "hold", tcc.HTTPParticipant{
			Try: func(_ context.Context, _ *sql.Tx, call tcc.HTTPCall) error {
				switch string(call.Body) {
				case `"sold"`:
					return tcc.Refuse(errSold)
				case `"broken"`:
					return errors.New("secret of the database")
				}
				return nil
			},
		}, tcc.Config{})
		for _, c := range []struct {
			name, method, body string
			headers            map[string]string
			status             int
			text               string
		}{
			{name: "done", status: 204},
			{name: "refused", body: `"sold"`, headers: map[string]string{tcc.HeaderXID: "2"}, status: 409, text: `{"message":"sold out"}`},
			{name: "broken", body: `"broken"`, headers: map[string]string{tcc.HeaderXID: "3"}, status: 500, text: `{"message":"internal error"}`},
			{name: "nothing to confirm", headers: map[string]string{tcc.HeaderPhase: "confirm", tcc.HeaderXID: "4"}, status: 409, text: "not tried"},
			{name: "a phase that does nothing", headers: map[string]string{tcc.HeaderPhase: "confirm"}, status: 204},
			{name: "no xid", headers: map[string]string{tcc.HeaderXID: ""}, status: 400, text: tcc.HeaderXID},
			{name: "no branch", headers: map[string]string{tcc.HeaderBranch: ""}, status: 400, text: tcc.HeaderBranch},
			{name: "no tenant", headers: map[string]string{tcc.HeaderTenant: "%"}, status: 400, text: tcc.HeaderTenant},
			{name: "odd phase", headers: map[string]string{tcc.HeaderPhase: "TRY"}, status: 400, text: tcc.HeaderPhase},
			{name: "not a POST", method: http.MethodGet, status: 405, text: "POST"},
			{name: "too large", body: strings.Repeat("x", 129<<10), headers: map[string]string{tcc.HeaderXID: "5"}, status: 413, text: "body"},
		} {
			method := http.MethodPost
			if c.method != "" {
				method = c.method
			}
			request := httptest.NewRequest(method, "/hold", strings.NewReader(c.body))
			for name, value := range map[string]string{tcc.HeaderXID: "1", tcc.HeaderBranch: "b", tcc.HeaderTenant: "main", tcc.HeaderPhase: "try"} {
				request.Header.Set(name, value)
			}
			for name, value := range c.headers {
				request.Header.Set(name, value)
			}
			recorder := httptest.NewRecorder()
			handler.ServeHTTP(recorder, request)
			if recorder.Code != c.status || !strings.Contains(recorder.Body.String(), c.text) || strings.Contains(recorder.Body.String(), "secret") {
				t.Errorf("%s: %d %s, want %d with %q", c.name, recorder.Code, recorder.Body, c.status, c.text)
			}
		}
	})
}

// FuzzHTTPHandler: no headers and no body make it panic, or pass the barrier
// with names that are not those of the call.
func FuzzHTTPHandler(f *testing.F) {
	f.Add("order-1", "b", "main", "try", []byte("{}"))
	f.Add("order%2F1", "b", "main", "confirm", []byte(nil))
	f.Add("%zz", "", "%", "TRY", []byte{0})
	errPassed := errors.New("passed")
	f.Fuzz(func(t *testing.T, xid, branch, tenant, phase string, body []byte) {
		passed := false
		handler := tcc.NewHTTPHandler(func(context.Context, func(context.Context, *sql.Tx) error) error {
			passed = true
			return errPassed
		}, "hold", tcc.HTTPParticipant{}, tcc.Config{})
		request := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(string(body)))
		request.Header[tcc.HeaderXID], request.Header[tcc.HeaderBranch] = []string{xid}, []string{branch}
		request.Header[tcc.HeaderTenant], request.Header[tcc.HeaderPhase] = []string{tenant}, []string{phase}
		recorder := httptest.NewRecorder()
		handler.ServeHTTP(recorder, request)
		unescaped, err := url.PathUnescape(xid)
		named := err == nil && unescaped != "" && branch != "" && tenant != "" && (phase == "try" || phase == "confirm" || phase == "cancel")
		if passed && !named {
			t.Errorf("%q %q %q %q passed", xid, branch, tenant, phase)
		}
		if passed != (recorder.Code == http.StatusInternalServerError) {
			t.Errorf("%q %q %q %q: %d", xid, branch, tenant, phase, recorder.Code)
		}
	})
}
