package release

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/backlot-video/backlot/kit/mq"
	eventv1 "github.com/backlot-video/backlot/proto/gen/backlot/event/v1"
)

// Headers of a webhook's request.
const (
	HeaderEvent     = "Backlot-Event"     // type of the fact
	HeaderDelivery  = "Backlot-Delivery"  // its id: the same in each try
	HeaderTimestamp = "Backlot-Timestamp" // Unix seconds of the try
	HeaderSignature = "Backlot-Signature" // `v1=` and Sign in hex
)

const (
	hookTime     = 10 * time.Second
	hookAttempts = 20 // until a fact is parked, over about eight minutes
	hookPause    = time.Second
	minSecret    = 16
)

// ErrWebhook is a setting of webhooks that is not allowed.
var ErrWebhook = errors.New("webhook")

// Hook sends facts of releases to one URL. Make it by NewHook.
type Hook struct {
	url    *url.URL
	secret []byte
	client *http.Client
	clock  func() time.Time
	sent   *prometheus.CounterVec
}

// HookMetrics count what hooks of one process sent.
func HookMetrics(registerer prometheus.Registerer) *prometheus.CounterVec {
	sent := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "backlot_rules_webhook_requests_total", Help: "Requests of webhooks by host and outcome: delivered, refused (not 2xx), failed.",
	}, []string{"host", "outcome"})
	if registerer != nil {
		registerer.MustRegister(sent)
	}
	return sent
}

// NewHook returns a hook. The URL is https, or http on loopback, without
// credentials; the secret has at least 16 bytes.
func NewHook(address string, secret []byte, clock func() time.Time, sent *prometheus.CounterVec) (*Hook, error) {
	target, err := url.Parse(address)
	if err != nil {
		return nil, fmt.Errorf("%w: not a URL", ErrWebhook) // the text may hold a secret
	}
	switch {
	case target.Host == "":
		return nil, fmt.Errorf("%w: the URL has no host", ErrWebhook)
	case target.User != nil:
		return nil, fmt.Errorf("%w: %s: no user or password in the URL", ErrWebhook, target.Host)
	case target.Scheme != "https" && (target.Scheme != "http" || !isLoopback(target.Hostname())):
		return nil, fmt.Errorf("%w: %s: it must be https, or http on loopback", ErrWebhook, target.Host)
	case len(secret) < minSecret:
		return nil, fmt.Errorf("%w: the secret has %d bytes, at least %d are needed", ErrWebhook, len(secret), minSecret)
	}
	return &Hook{
		url: target, secret: secret, clock: clock, sent: sent,
		client: &http.Client{
			Timeout:       hookTime,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Consumer gets the hook its facts from the broker, which keeps them while the
// other side is down; replicas share them.
func (h *Hook) Consumer() mq.Consumer {
	sum := sha256.Sum256([]byte(h.url.String()))
	return mq.Consumer{
		Durable: "rules_webhook_" + hex.EncodeToString(sum[:6]), Subjects: mq.Subjects(ReleasedType, RefusedType),
		Handler: h.Send, Attempts: hookAttempts, Pause: hookPause, Timeout: hookTime + time.Second, FromNow: true,
	}
}

// Send sends one fact once.
func (h *Hook) Send(ctx context.Context, envelope *eventv1.Envelope) error {
	body, err := bodyOf(envelope)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, h.url.String(), bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("%w: %s", ErrWebhook, h.url.Host)
	}
	at := strconv.FormatInt(h.clock().Unix(), 10)
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", "backlot-rules")
	request.Header.Set(HeaderEvent, envelope.GetType())
	request.Header.Set(HeaderDelivery, envelope.GetId())
	request.Header.Set(HeaderTimestamp, at)
	request.Header.Set(HeaderSignature, "v1="+hex.EncodeToString(Sign(h.secret, at, body)))
	response, err := h.client.Do(request)
	if err != nil {
		h.sent.WithLabelValues(h.url.Host, "failed").Inc()
		var cause *url.Error
		if errors.As(err, &cause) {
			err = cause.Err // without the URL, which may hold a secret
		}
		return fmt.Errorf("%w: %s: %w", ErrWebhook, h.url.Host, err)
	}
	defer func() { _ = response.Body.Close() }()
	_, _ = io.CopyN(io.Discard, response.Body, 64<<10)
	if response.StatusCode/100 != 2 {
		h.sent.WithLabelValues(h.url.Host, "refused").Inc()
		return fmt.Errorf("%w: %s answered %d", ErrWebhook, h.url.Host, response.StatusCode)
	}
	h.sent.WithLabelValues(h.url.Host, "delivered").Inc()
	return nil
}

// Sign is the HMAC-SHA256 of a request: of its timestamp, a dot and its body.
func Sign(secret []byte, timestamp string, body []byte) []byte {
	mac := hmac.New(sha256.New, secret)
	_, _ = io.WriteString(mac, timestamp+".")
	_, _ = mac.Write(body)
	return mac.Sum(nil)
}

func bodyOf(envelope *eventv1.Envelope) ([]byte, error) {
	fact, err := envelope.GetData().UnmarshalNew()
	if err != nil {
		return nil, mq.ErrUnknownType
	}
	data, err := protojson.Marshal(fact)
	if err != nil {
		return nil, err
	}
	return json.Marshal(struct {
		ID         string          `json:"id"`
		Type       string          `json:"type"`
		Tenant     string          `json:"tenant_id"`
		OccurredAt time.Time       `json:"occurred_at"`
		Data       json.RawMessage `json:"data"`
	}{envelope.GetId(), envelope.GetType(), envelope.GetTenantId(), time.UnixMicro(envelope.GetOccurredAt()).UTC(), data})
}
