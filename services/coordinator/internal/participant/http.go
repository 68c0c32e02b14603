package participant

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/backlot-video/backlot/services/coordinator/internal/runner"
	"github.com/backlot-video/backlot/services/coordinator/internal/tcc"
)

// Headers that every call by plain HTTP carries. The xid is escaped as in a
// URL's path.
const (
	headerXID    = "Backlot-Xid"
	headerBranch = "Backlot-Branch-Id"
	headerPhase  = "Backlot-Phase"
	headerTenant = "Backlot-Tenant"
)

// Limits of what a participant answers.
const (
	maxAnswer        = 4 << 10  // bytes read for the problem's text
	maxAnswerHeaders = 16 << 10 // bytes
	maxIdle          = 256      // connections kept to one host
	idleTimeout      = 30 * time.Second
)

// newHTTPClient makes a client that follows no redirect and uses no proxy, so
// that an address of the allow list is all that is ever reached. Calls are
// bounded by their contexts.
func newHTTPClient() *http.Client {
	dialer := &net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}
	return &http.Client{
		Transport: &plain{dial: dialer.DialContext, other: &http.Transport{
			DialContext:            dialer.DialContext,
			TLSHandshakeTimeout:    5 * time.Second,
			MaxIdleConns:           4 * maxIdle,
			MaxIdleConnsPerHost:    maxIdle,
			IdleConnTimeout:        idleTimeout,
			MaxResponseHeaderBytes: maxAnswerHeaders,
			DisableCompression:     true,
		}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// callHTTP makes one phase call by plain HTTP.
func (p *Participants) callHTTP(ctx context.Context, key runner.Key, branch tcc.Branch, phase tcc.Phase) (tcc.Outcome, string) {
	call := branch.HTTP.Of(phase)
	if call == nil {
		return tcc.Failed, fmt.Sprintf("the branch has no http.%v", phase)
	}
	if err := p.allow.Check(call.URL); err != nil { // the list may be shorter than it was
		return tcc.Failed, limit(err.Error())
	}
	request, err := newRequest(ctx, key, branch.ID, phase, call)
	if err != nil {
		return tcc.Failed, limit(err.Error())
	}
	response, err := p.http.Transport.RoundTrip(request) // redirects are not followed, cookies not kept
	if err != nil {
		return tcc.Failed, limit(unreachable(err))
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	// A body that goes on costs its connection, nothing more.
	_ = response.Body.Close()
	outcome := answered(response.StatusCode, phase)
	if outcome == tcc.Succeeded || err != nil {
		body = nil
	}
	return outcome, answerProblem(outcome, response.StatusCode, body)
}

// usualBody is what a participant gets whose call has no body of its own.
type usualBody struct {
	BranchID string `json:"branch_id"`
	Phase    string `json:"phase"`
	TenantID string `json:"tenant_id"`
	XID      string `json:"xid"`
}

func newRequest(ctx context.Context, key runner.Key, branchID string, phase tcc.Phase, call *tcc.HTTPCall) (*http.Request, error) {
	body := call.Body
	if len(body) == 0 {
		var err error
		body, err = json.Marshal(usualBody{branchID, phase.String(), key.TenantID, key.XID})
		if err != nil {
			return nil, err
		}
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, call.URL, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	// A repeat is harmless by contract, so the transport may send it again on
	// a connection that the other side has just closed.
	request.Header["Idempotency-Key"] = nil // not sent
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", "backlot-coordinator")
	for _, header := range call.Headers {
		request.Header.Set(header.Name, header.Value)
	}
	request.Header.Set(headerXID, url.PathEscape(key.XID))
	request.Header.Set(headerBranch, branchID)
	request.Header.Set(headerPhase, phase.String())
	request.Header.Set(headerTenant, url.PathEscape(key.TenantID))
	return request, nil
}

// answered is what a status means: 2xx is success, and Try is refused by a 4xx
// that does not ask to come again.
func answered(status int, phase tcc.Phase) tcc.Outcome {
	switch {
	case status >= 200 && status < 300:
		return tcc.Succeeded
	case phase != tcc.Try || status < 400 || status >= 500:
		return tcc.Failed
	}
	switch status {
	case http.StatusRequestTimeout, http.StatusMisdirectedRequest, http.StatusTooEarly, http.StatusTooManyRequests:
		return tcc.Failed
	default:
		return tcc.Refused
	}
}

// answerProblem is what an answer says of why it is no success: the text of
// its JSON's message or error, or its first line, behind the status where that
// is not what a refusal has.
func answerProblem(outcome tcc.Outcome, status int, body []byte) string {
	if outcome == tcc.Succeeded {
		return ""
	}
	text := answerText(body)
	code := fmt.Sprintf("HTTP %d", status)
	switch {
	case text == "":
		return code
	case status == http.StatusConflict && outcome == tcc.Refused:
		return limit(text)
	default:
		return limit(code + ": " + text)
	}
}

func answerText(body []byte) string {
	var told map[string]json.RawMessage
	if json.Unmarshal(body, &told) == nil {
		for _, name := range []string{"message", "error", "detail", "problem"} {
			var text string
			if json.Unmarshal(told[name], &text) == nil && text != "" {
				return printable(text)
			}
		}
		return ""
	}
	line, _, _ := strings.Cut(string(body), "\n")
	if strings.HasPrefix(strings.TrimSpace(line), "<") || !utf8.ValidString(line) {
		return "" // a page for people, or no text
	}
	return printable(line)
}

// printable takes away what terminals and logs would obey.
func printable(text string) string {
	text = strings.ToValidUTF8(text, "")
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, text))
}

// unreachable is why a call has no answer, without its address, which may be
// long and is known.
func unreachable(err error) string {
	var failed *url.Error
	if errors.As(err, &failed) {
		err = failed.Err
	}
	return err.Error()
}
