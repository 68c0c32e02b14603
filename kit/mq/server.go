package mq

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/prometheus/client_golang/prometheus"
)

// ServerConfig tells where an embedded broker keeps its messages.
type ServerConfig struct {
	DataDir    string                // required
	Listen     string                // host:port for other processes; default: in process only
	Token      string                // what clients must show; default nothing
	TLS        *tls.Config           // required to listen off loopback
	MaxBytes   int64                 // of all streams on disk; default 8 GiB
	MaxClients int                   // connections; default 1024
	Log        *slog.Logger          // default none
	Registerer prometheus.Registerer // default no metrics
}

// Server is a JetStream server inside this process.
type Server struct {
	nats    *server.Server
	metrics []prometheus.Collector
	cfg     ServerConfig
}

const (
	messageLimit = 1 << 20 // bytes; an envelope and its headers are less
	startTimeout = 30 * time.Second
	// syncInterval bounds what a power cut takes; Outbox keeps facts longer.
	syncInterval = 10 * time.Second
)

// NewServer starts a server and returns when it serves.
func NewServer(cfg ServerConfig) (*Server, error) {
	options, err := cfg.options()
	if err != nil {
		return nil, err
	}
	embedded, err := server.NewServer(options)
	if err != nil {
		return nil, fmt.Errorf("embedded broker: %w", err)
	}
	failures := make(chan string, 1)
	embedded.SetLoggerV2(natsLog{cfg.Log, failures}, false, false, false)
	go embedded.Start() // Close ends it
	if !embedded.ReadyForConnections(startTimeout) || !embedded.JetStreamEnabled() {
		embedded.Shutdown()
		embedded.WaitForShutdown()
		select {
		case reason := <-failures:
			return nil, fmt.Errorf("embedded broker: %s", reason)
		default:
			return nil, fmt.Errorf("embedded broker did not start within %v", startTimeout)
		}
	}
	s := &Server{nats: embedded, cfg: cfg}
	if err := s.register(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (c *ServerConfig) options() (*server.Options, error) {
	if c.DataDir == "" {
		return nil, errors.New("embedded broker has no data folder")
	}
	if c.MaxBytes == 0 {
		c.MaxBytes = 8 << 30
	}
	if c.MaxClients == 0 {
		c.MaxClients = 1024
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	options := &server.Options{
		ServerName: "backlot", DontListen: c.Listen == "",
		Authorization: c.Token, MaxConn: c.MaxClients, MaxPayload: messageLimit,
		JetStream: true, StoreDir: filepath.Clean(c.DataDir), SyncInterval: syncInterval,
		JetStreamMaxStore: c.MaxBytes, JetStreamMaxMemory: 64 << 20,
		NoSigs: true, DisableJetStreamBanner: true,
	}
	if c.Listen == "" {
		return options, nil
	}
	host, port, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return nil, fmt.Errorf("embedded broker: %w", err)
	}
	if options.Port, err = strconv.Atoi(port); err != nil {
		return nil, fmt.Errorf("embedded broker: port %q: %w", port, err)
	}
	if options.Port == 0 {
		options.Port = server.RANDOM_PORT
	}
	if address := net.ParseIP(host); c.TLS == nil && (address == nil || !address.IsLoopback()) {
		return nil, fmt.Errorf("embedded broker: %s is not a loopback address, so it needs TLS", c.Listen)
	}
	if err := free(c.Listen); err != nil {
		return nil, fmt.Errorf("embedded broker: %w", err)
	}
	options.Host, options.TLSConfig, options.TLS = host, c.TLS, c.TLS != nil
	return options, nil
}

// free tells whether an address may be listened on, which the server itself
// only logs.
func free(address string) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	return listener.Close()
}

// URL is the server's address for other processes, empty where it does not
// listen.
func (s *Server) URL() string {
	if s.cfg.Listen == "" {
		return ""
	}
	return s.nats.ClientURL()
}

// Close stops the server after its clients' last messages were written.
func (s *Server) Close() error {
	s.nats.Shutdown()
	s.nats.WaitForShutdown()
	for _, collector := range s.metrics {
		s.cfg.Registerer.Unregister(collector)
	}
	return nil
}

func (s *Server) register() error {
	if s.cfg.Registerer == nil {
		return nil
	}
	stored := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "backlot_mq_stored_bytes", Help: "Bytes of messages on disk.",
	}, func() float64 {
		usage, err := s.nats.Jsz(nil)
		if err != nil {
			return 0
		}
		return float64(usage.Store)
	})
	clients := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "backlot_mq_clients", Help: "Connections to the embedded broker.",
	}, func() float64 { return float64(s.nats.NumClients()) })
	for _, collector := range []prometheus.Collector{stored, clients} {
		if err := s.cfg.Registerer.Register(collector); err != nil {
			return err
		}
		s.metrics = append(s.metrics, collector)
	}
	return nil
}

// natsLog passes the server's warnings on. Its notices are of no interest to
// who runs Backlot.
type natsLog struct {
	log      *slog.Logger
	failures chan string
}

func (l natsLog) Noticef(format string, v ...any) { l.debug(format, v...) }
func (l natsLog) Debugf(format string, v ...any)  { l.debug(format, v...) }
func (l natsLog) Tracef(format string, v ...any)  { l.debug(format, v...) }

func (l natsLog) debug(format string, v ...any) {
	l.log.Debug("broker notice", "text", fmt.Sprintf(format, v...))
}

func (l natsLog) Warnf(format string, v ...any) {
	l.log.Warn("broker warning", "text", fmt.Sprintf(format, v...))
}

func (l natsLog) Errorf(format string, v ...any) {
	l.log.Error("broker error", "text", fmt.Sprintf(format, v...))
}

// Fatalf is called where the server gives up; it must not end the process.
func (l natsLog) Fatalf(format string, v ...any) {
	text := fmt.Sprintf(format, v...)
	l.log.Error("broker failed", "text", text)
	select {
	case l.failures <- text:
	default:
	}
}
