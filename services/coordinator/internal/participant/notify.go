package participant

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"google.golang.org/protobuf/encoding/protojson"

	coordinatorv1 "github.com/backlot-video/backlot/proto/gen/backlot/coordinator/v1"
	eventv1 "github.com/backlot-video/backlot/proto/gen/backlot/event/v1"
)

// HeaderEvent is the id of the fact that a notification tells: the same one
// each time that it is sent.
const HeaderEvent = "Backlot-Event-Id"

// NotifyEnd posts what a notification that is due tells, the end of a
// transaction, as JSON to whom the transaction names. It is a handler of kit/mq, which calls it again where it
// returns an error: for any answer but 2xx.
func (p *Participants) NotifyEnd(ctx context.Context, envelope *eventv1.Envelope) error {
	var ended coordinatorv1.TransactionEnded
	if err := envelope.GetData().UnmarshalTo(&ended); err != nil {
		return fmt.Errorf("read fact %s: %w", envelope.GetId(), err)
	}
	if ended.GetNotifyUrl() == "" {
		return nil
	}
	if err := p.allow.Check(ended.GetNotifyUrl()); err != nil { // the list may be shorter than it was
		return fmt.Errorf("notify of the end of %s: %w", ended.GetXid(), err)
	}
	text, err := protojson.Marshal(&ended)
	if err != nil {
		return fmt.Errorf("notify of the end of %s: %w", ended.GetXid(), err)
	}
	var body bytes.Buffer
	if err := json.Compact(&body, text); err != nil { // protojson's spaces vary
		return fmt.Errorf("notify of the end of %s: %w", ended.GetXid(), err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, ended.GetNotifyUrl(), &body)
	if err != nil {
		return fmt.Errorf("notify of the end of %s: %w", ended.GetXid(), err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", "backlot-coordinator")
	request.Header.Set(headerXID, url.PathEscape(ended.GetXid()))
	request.Header.Set(headerTenant, url.PathEscape(envelope.GetTenantId()))
	request.Header.Set(HeaderEvent, envelope.GetId())
	response, err := p.http.Do(request)
	if err != nil {
		return fmt.Errorf("notify of the end of %s: %s", ended.GetXid(), unreachable(err))
	}
	_, _ = io.CopyN(io.Discard, response.Body, maxAnswer) // so that the connection can be kept
	_ = response.Body.Close()
	if response.StatusCode < 200 || response.StatusCode > 299 {
		return fmt.Errorf("notify of the end of %s: HTTP %d", ended.GetXid(), response.StatusCode)
	}
	return nil
}
