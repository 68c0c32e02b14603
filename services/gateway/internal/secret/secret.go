// Package secret holds the certificates that the gateway shows to its clients
// and the authorities that it knows clients by, and changes them while
// connections go on: a handshake takes what is in force at its beginning.
//
//	secret.go   Store, putting secrets in force
//	files.go    the pair of files of the settings, read again when they change
//	parse.go    PEM into certificates
//	name.go     which certificate a server name gets
//	ticket.go   keys of session tickets
//	metric.go   metrics
//
// It dials and accepts nothing. What is shown to upstreams is of package
// upstream.
package secret

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/backlot-video/backlot/services/gateway/internal/edge"
)

// Public is the name of the listener that the gateway's settings make, whose
// certificate comes from files.
const Public = ""

// Config is what a Store needs. Zero members mean the defaults.
type Config struct {
	CertFile, KeyFile string        // of the public listener; empty: it has no TLS
	Poll              time.Duration // how often the files are looked at; default 5 s
	Rotate            time.Duration // how often the tickets' key changes; default 12 h
	Log               *slog.Logger
	Registerer        prometheus.Registerer
}

// Store holds what is in force.
type Store struct {
	config  Config
	metrics *metrics
	current atomic.Pointer[state]

	mu      sync.Mutex // of changes
	files   files
	tickets tickets
}

// state is what is in force. It is not changed once made.
type state struct {
	secrets   map[string]edge.Secret // of the listeners
	settings  map[string]edge.ListenerTLS
	listeners map[string]*tls.Config
	certs     map[string]*certificate // by secret's name
}

// New reads the files, if there are any; an error names the one at fault.
func New(config Config) (*Store, error) {
	if config.Poll <= 0 {
		config.Poll = 5 * time.Second
	}
	if config.Rotate <= 0 {
		config.Rotate = 12 * time.Hour
	}
	if config.Log == nil {
		config.Log = slog.New(slog.DiscardHandler)
	}
	s := &Store{config: config, metrics: newMetrics(config.Registerer)}
	s.files = files{cert: config.CertFile, key: config.KeyFile}
	s.tickets.rotate()
	s.current.Store(&state{})
	if config.CertFile != "" {
		if err := s.files.load(); err != nil {
			return nil, err
		}
		s.metrics.expiry.WithLabelValues(fileLabel).Set(s.files.pair.expiry())
	}
	return s, s.Swap(&edge.Config{})
}

// Swap puts the listeners' secrets of a configuration in force for the
// handshakes that follow. With an error, which names the listener and the
// secret, the old ones stay.
func (s *Store) Swap(c *edge.Config) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := &state{settings: map[string]edge.ListenerTLS{}, secrets: map[string]edge.Secret{}, certs: map[string]*certificate{}}
	var faults []error
	for i := range c.Listeners {
		listener := &c.Listeners[i]
		if listener.TLS == nil {
			continue
		}
		if err := next.add(listener, c.Secrets, s.current.Load()); err != nil {
			faults = append(faults, fmt.Errorf("listener %q: %w", listener.Name, err))
		}
	}
	if err := errors.Join(faults...); err != nil {
		s.metrics.reloads.WithLabelValues("rejected").Inc()
		return err
	}
	return s.put(next)
}

// put builds what handshakes use, and puts it in force. mu is held.
func (s *Store) put(next *state) error {
	next.listeners = make(map[string]*tls.Config, len(next.settings)+1)
	for name, settings := range next.settings {
		built, err := next.build(name, settings, &s.tickets)
		if err != nil {
			return err
		}
		next.listeners[name] = built
	}
	if s.files.pair != nil {
		public := base()
		public.GetCertificate = choose(newNames([]*certificate{s.files.pair}))
		public.SetSessionTicketKeys(s.tickets.keys(Public, nil))
		next.listeners[Public] = public
	}
	old := s.current.Swap(next)
	s.metrics.describe(old.certs, next.certs)
	return nil
}

// add takes the secrets of a listener in, those that stay as they are.
func (n *state) add(listener *edge.Listener, secrets map[string]edge.Secret, old *state) error {
	if len(listener.TLS.Certificates) == 0 {
		return errors.New("tls: no certificate is named")
	}
	for _, name := range listener.TLS.Certificates {
		if n.certs[name] != nil {
			continue
		}
		secret, found := secrets[name]
		if !found {
			return fmt.Errorf("tls: secret %q does not exist", name)
		}
		if known := old.certs[name]; known != nil && known.is(secret.CertificatePEM, secret.KeyPEM) {
			n.certs[name] = known
			continue
		}
		parsed, err := parsePair(secret.CertificatePEM, secret.KeyPEM)
		if err != nil {
			return fmt.Errorf("tls: secret %q: %w", name, err)
		}
		n.certs[name] = parsed
	}
	if authority := listener.TLS.ClientCA; authority != "" {
		secret, found := secrets[authority]
		if !found {
			return fmt.Errorf("tls: secret %q does not exist", authority)
		}
		if _, err := parseAuthorities(secret.AuthorityPEM); err != nil {
			return fmt.Errorf("tls: secret %q: %w", authority, err)
		}
		n.secrets[authority] = secret
	} else if listener.TLS.RequireClient {
		return errors.New("tls: clients' certificates are required, but no authority is named that verifies them")
	}
	n.settings[listener.Name] = *listener.TLS
	return nil
}

// build makes the settings of a listener's handshakes.
func (n *state) build(name string, settings edge.ListenerTLS, t *tickets) (*tls.Config, error) {
	certs := make([]*certificate, 0, len(settings.Certificates))
	for _, secret := range settings.Certificates {
		certs = append(certs, n.certs[secret])
	}
	built := base()
	built.GetCertificate = choose(newNames(certs))
	var authorities []byte
	if settings.ClientCA != "" {
		authorities = n.secrets[settings.ClientCA].AuthorityPEM
		pool, err := parseAuthorities(authorities)
		if err != nil {
			return nil, err
		}
		built.ClientCAs, built.ClientAuth = pool, tls.VerifyClientCertIfGiven
		if settings.RequireClient {
			built.ClientAuth = tls.RequireAndVerifyClientCert
		}
	}
	built.SetSessionTicketKeys(t.keys(name, authorities))
	return built, nil
}

// base is what all handshakes have in common.
func base() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{"h2", "http/1.1"},
		// Small records at the beginning cost system calls; nginx, too, sends
		// full ones.
		DynamicRecordSizingDisabled: true,
	}
}

// HasFiles tells whether the public listener has TLS.
func (s *Store) HasFiles() bool { return s.config.CertFile != "" }

// Listener returns the TLS settings of a listener by its name, Public for the
// one of the settings. They stay right through all swaps: each handshake asks
// the store.
func (s *Store) Listener(name string) *tls.Config {
	config := base()
	config.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		if found := s.current.Load().listeners[name]; found != nil {
			return found, nil
		}
		return nil, fmt.Errorf("listener %q has no certificate", name)
	}
	return config
}

// Run reads the files again when they change and changes the tickets' keys,
// until ctx ends.
func (s *Store) Run(ctx context.Context) error {
	poll, rotate := time.NewTicker(s.config.Poll), time.NewTicker(s.config.Rotate)
	defer poll.Stop()
	defer rotate.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-poll.C:
			s.reload()
		case <-rotate.C:
			s.renew()
		}
	}
}

// reload takes the files in if they have changed.
func (s *Store) reload() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.files.cert == "" || !s.files.changed() {
		return
	}
	if err := s.files.load(); err != nil {
		s.metrics.reloads.WithLabelValues("rejected").Inc()
		s.config.Log.Warn("certificate files cannot be used; the certificate in force stays", "err", err)
		return
	}
	if err := s.put(s.current.Load().clone()); err != nil {
		s.config.Log.Error("certificates could not be put in force", "err", err)
		return
	}
	s.metrics.reloads.WithLabelValues("accepted").Inc()
	s.metrics.expiry.WithLabelValues(fileLabel).Set(s.files.pair.expiry())
	s.config.Log.Info("certificate was read again", "file", s.files.cert, "expires", s.files.pair.leaf.NotAfter)
}

// renew changes the tickets' keys. Those of the last days stay good.
func (s *Store) renew() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tickets.rotate()
	if err := s.put(s.current.Load().clone()); err != nil {
		s.config.Log.Error("keys of session tickets could not be put in force", "err", err)
	}
}

func (n *state) clone() *state {
	return &state{secrets: maps.Clone(n.secrets), settings: maps.Clone(n.settings), certs: maps.Clone(n.certs)}
}
