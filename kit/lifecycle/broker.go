package lifecycle

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"github.com/backlot-video/backlot/kit/config"
	"github.com/backlot-video/backlot/kit/mq"
)

const brokerName = "mq"

// Broker is the embedded message broker as a service. In a process of its
// own it listens for others; beside services it is reached in process only.
type Broker struct {
	listen   string
	maxBytes int64
	alone    bool
}

// NewBroker returns the broker for a process of its own.
func NewBroker() *Broker { return &Broker{alone: true} }

// embeddedBroker returns the broker of a process that is given no address
// of one.
func embeddedBroker() *Broker { return &Broker{} }

// withBroker puts an embedded broker before services that have none.
func withBroker(services []Service) []Service {
	if slices.ContainsFunc(services, isBroker) {
		return services
	}
	return append([]Service{embeddedBroker()}, services...)
}

// withoutEmbedded leaves the embedded broker out where another is used.
func withoutEmbedded(services []Service) []Service {
	return slices.DeleteFunc(services, func(s Service) bool {
		broker, is := s.(*Broker)
		return is && !broker.alone
	})
}

func isBroker(s Service) bool { _, is := s.(*Broker); return is }

// Name implements Service.
func (b *Broker) Name() string { return brokerName }

// RegisterFlags implements Service.
func (b *Broker) RegisterFlags(set *config.Set) {
	listen := ""
	if b.alone {
		listen = "127.0.0.1:4222"
	}
	set.String(&b.listen, "listen", listen, "`address` of the embedded broker for other processes; empty: in process only")
	set.Size(&b.maxBytes, "max-bytes", 8<<30, "most bytes that messages take on disk; the oldest go first")
}

// Validate implements Service.
func (b *Broker) Validate() error {
	var faults []error
	if b.maxBytes < 1<<20 {
		faults = append(faults, errors.New("mq.max-bytes: must be at least 1MiB"))
	}
	if b.alone && b.listen == "" {
		faults = append(faults, errors.New("mq.listen: must not be empty"))
	}
	return errors.Join(faults...)
}

// Run implements Service.
func (b *Broker) Run(ctx context.Context, host *Host) error {
	links := host.process.links
	server, err := mq.NewServer(mq.ServerConfig{
		DataDir: host.DataDir, Listen: b.listen, Token: links.brokerToken(), MaxBytes: b.maxBytes,
		TLS: links.serverTLS, Log: host.Log, Registerer: host.Registerer,
	})
	if err != nil {
		return fmt.Errorf("mq.listen: %w", err)
	}
	links.mu.Lock()
	links.embedded = server
	links.mu.Unlock()
	host.Ready()
	<-ctx.Done()
	return errors.Join(links.disconnect(), server.Close())
}

// disconnect closes the client before its server goes.
func (l *links) disconnect() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.client == nil {
		return nil
	}
	client := l.client
	l.client = nil
	return client.Close()
}

// brokerToken is the secret by which processes of one installation reach
// the broker; it is derived from the cluster key and never logged.
func (l *links) brokerToken() string {
	return hex.EncodeToString(l.process.keys.Derive("mq"))
}
