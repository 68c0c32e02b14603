package mq

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/propagation"

	eventv1 "github.com/backlot-video/backlot/proto/gen/backlot/event/v1"
)

// ClientConfig tells which broker to talk to. Where the streams do not exist
// yet, they are made with these limits.
type ClientConfig struct {
	URL        string                // of a NATS server; default: Server
	Server     *Server               // in this process, reached without a network
	Token      string                // what the server asks for
	TLS        *tls.Config           // for a tls:// URL
	MaxAge     time.Duration         // how long facts are kept; default 35 days
	MaxBytes   int64                 // of facts, then the oldest go; default 4 GiB
	Replicas   int                   // of streams in a cluster; default 1
	Log        *slog.Logger          // default none
	Registerer prometheus.Registerer // default no metrics
	Clock      func() time.Time      // default time.Now
}

// Client is a connection to the broker, safe for concurrent use. It comes back
// by itself when the connection breaks.
type Client struct {
	cfg     ClientConfig
	conn    *nats.Conn
	stream  jetstream.JetStream
	metrics *metrics

	mu       sync.Mutex
	watchers map[chan struct{}]bool // told of each reconnection
}

const (
	requestTimeout   = 5 * time.Second
	duplicatesWindow = 5 * time.Minute // longer than Outbox keeps what it sent
	publishWindow    = 1024            // messages in flight
	parkedMaxBytes   = 256 << 20
)

// Connect connects and makes the streams, trying until ctx ends.
func Connect(ctx context.Context, cfg ClientConfig) (*Client, error) {
	c := &Client{cfg: cfg.withDefaults(), watchers: map[chan struct{}]bool{}}
	measured, err := newMetrics(c.cfg.Registerer)
	if err != nil {
		return nil, err
	}
	c.metrics = measured
	if err := c.connect(ctx); err != nil {
		measured.unregister()
		return nil, fmt.Errorf("connect to broker: %w", err)
	}
	return c, nil
}

func (c ClientConfig) withDefaults() ClientConfig {
	if c.MaxAge == 0 {
		c.MaxAge = 35 * 24 * time.Hour
	}
	if c.MaxBytes == 0 {
		c.MaxBytes = 4 << 30
	}
	if c.Replicas == 0 {
		c.Replicas = 1
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	return c
}

func (c *Client) connect(ctx context.Context) error {
	var err error
	for wait := newBackoff(100*time.Millisecond, 2*time.Second); ; {
		if c.conn, err = nats.Connect(c.cfg.URL, c.options()...); err == nil {
			break
		}
		c.cfg.Log.LogAttrs(ctx, slog.LevelWarn, "broker not reached", slog.Any("err", err))
		if !wait.sleep(ctx) {
			return errors.Join(err, context.Cause(ctx))
		}
	}
	c.stream, err = jetstream.New(c.conn, jetstream.WithDefaultTimeout(requestTimeout),
		jetstream.WithPublishAsyncMaxPending(publishWindow), jetstream.WithPublishAsyncTimeout(requestTimeout))
	for wait := newBackoff(100*time.Millisecond, 2*time.Second); err == nil; {
		if err = c.makeStreams(ctx); err == nil {
			return nil
		}
		if !retriable(err) || !wait.sleep(ctx) {
			break
		}
		err = nil
	}
	c.conn.Close()
	return err
}

// retriable errors of a broker that is starting.
func retriable(err error) bool {
	return errors.Is(err, jetstream.ErrJetStreamNotEnabled) || errors.Is(err, nats.ErrTimeout) ||
		errors.Is(err, nats.ErrNoResponders) || errors.Is(err, context.DeadlineExceeded)
}

func (c *Client) options() []nats.Option {
	options := []nats.Option{
		nats.Name("backlot"), nats.MaxReconnects(-1), nats.ReconnectWait(200 * time.Millisecond),
		nats.ReconnectJitter(100*time.Millisecond, 500*time.Millisecond),
		nats.Timeout(requestTimeout), nats.PingInterval(10 * time.Second), nats.MaxPingsOutstanding(2),
		nats.ReconnectHandler(func(*nats.Conn) { c.reconnected() }),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				c.cfg.Log.Warn("broker connection lost", "err", err)
			}
		}),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			c.cfg.Log.Warn("broker error", "err", err)
		}),
	}
	if c.cfg.URL == "" && c.cfg.Server != nil {
		options = append(options, nats.InProcessServer(c.cfg.Server.nats))
	}
	if c.cfg.Token != "" {
		options = append(options, nats.Token(c.cfg.Token))
	}
	if c.cfg.TLS != nil {
		options = append(options, nats.Secure(c.cfg.TLS))
	}
	return options
}

func (c *Client) makeStreams(ctx context.Context) error {
	facts := jetstream.StreamConfig{
		Name: StreamName, Subjects: []string{"backlot.>"}, Storage: jetstream.FileStorage,
		MaxAge: c.cfg.MaxAge, MaxBytes: c.cfg.MaxBytes, MaxMsgSize: messageLimit,
		Discard: jetstream.DiscardOld, Duplicates: duplicatesWindow, Replicas: c.cfg.Replicas,
	}
	parked := jetstream.StreamConfig{
		Name: ParkedStreamName, Subjects: []string{"parked.>"}, Storage: jetstream.FileStorage,
		MaxBytes: parkedMaxBytes, MaxMsgSize: messageLimit,
		Discard: jetstream.DiscardNew, Duplicates: duplicatesWindow, Replicas: c.cfg.Replicas,
	}
	for _, wanted := range []jetstream.StreamConfig{facts, parked} {
		_, err := c.stream.Stream(ctx, wanted.Name)
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			_, err = c.stream.CreateStream(ctx, wanted)
		}
		if err != nil && !errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
			return fmt.Errorf("stream %s: %w", wanted.Name, err)
		}
	}
	return nil
}

// Publish sends an envelope, without an outbox: for facts that no state in SQL
// goes with. It fills in id, source, time and trace where they are missing, and
// returns once the broker has the message. Sending an id again does nothing.
func (c *Client) Publish(ctx context.Context, source string, envelope *eventv1.Envelope) error {
	if err := complete(ctx, envelope, source, c.cfg.Clock().UnixMicro()); err != nil {
		return err
	}
	message, err := messageOf(envelope)
	if err != nil {
		return err
	}
	if _, err := c.stream.PublishMsg(ctx, message); err != nil {
		return fmt.Errorf("publish %s: %w", message.Subject, err)
	}
	c.metrics.published.WithLabelValues(source).Inc()
	return nil
}

func messageOf(envelope *eventv1.Envelope) (*nats.Msg, error) {
	data, err := encode(envelope)
	if err != nil {
		return nil, err
	}
	message := nats.NewMsg(Subject(envelope))
	message.Header.Set(jetstream.MsgIDHeader, envelope.GetId())
	message.Data = data
	return message, nil
}

// Check tells whether the broker answers.
func (c *Client) Check(ctx context.Context) error {
	_, err := c.stream.Stream(ctx, StreamName)
	return err
}

// Close sends what is buffered and ends the connection. Consume and Outbox.Run
// are to have returned.
func (c *Client) Close() error {
	err := c.conn.FlushTimeout(requestTimeout)
	if errors.Is(err, nats.ErrConnectionClosed) {
		err = nil
	}
	c.conn.Close()
	c.metrics.unregister()
	return err
}

// watch returns a channel that tells of reconnections, and what ends it.
func (c *Client) watch() (<-chan struct{}, func()) {
	watcher := make(chan struct{}, 1)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.watchers[watcher] = true
	return watcher, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.watchers, watcher)
	}
}

func (c *Client) reconnected() {
	c.cfg.Log.Info("broker connected again")
	c.mu.Lock()
	defer c.mu.Unlock()
	for watcher := range c.watchers {
		notify(watcher)
	}
}

// notify wakes who waits on a channel of length 1.
func notify(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// traceparent is the W3C trace context of ctx, empty where there is none.
func traceparent(ctx context.Context) string {
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	return carrier["traceparent"]
}

// withTrace continues an envelope's trace.
func withTrace(ctx context.Context, envelope *eventv1.Envelope) context.Context {
	if envelope.GetTraceparent() == "" {
		return ctx
	}
	carrier := propagation.MapCarrier{"traceparent": envelope.GetTraceparent()}
	return propagation.TraceContext{}.Extract(ctx, carrier)
}
