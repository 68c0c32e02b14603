package lifecycle

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"go.opentelemetry.io/otel/trace"

	"github.com/backlot-video/backlot/kit/informer"
	"github.com/backlot-video/backlot/kit/mq"
	"github.com/backlot-video/backlot/kit/rpc"
	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	policyv1 "github.com/backlot-video/backlot/proto/gen/backlot/policy/v1"
)

const (
	configstoreName = "configstore"
	defaultPolicy   = "default"
)

// links is how the services of a process reach each other and the rest of
// the installation.
type links struct {
	process   *process
	serverTLS *tls.Config
	clientTLS *tls.Config
	source    informer.Source
	reporter  *informer.Reporter // nil without a configstore
	own       *rpc.Dialer        // for what belongs to no service

	policies  *informer.Informer[*policyv1.CallPolicy]
	instances *informer.Informer[*configstorev1.Instance]
	remote    atomic.Pointer[map[string][]rpc.Endpoint]

	follow  sync.Once
	cancel  context.CancelFunc
	context context.Context
	running sync.WaitGroup

	connecting sync.Mutex // to the broker

	mu       sync.RWMutex
	local    map[string][]rpc.Endpoint
	embedded *mq.Server
	client   *mq.Client
}

func newLinks(ctx context.Context, p *process) (*links, error) {
	l := &links{process: p, local: map[string][]rpc.Endpoint{}}
	l.context, l.cancel = context.WithCancel(context.WithoutCancel(ctx))
	if err := l.loadTLS(); err != nil {
		return nil, err
	}
	l.own = l.dialer(p.program, nil)
	if !l.hasConfigstore() {
		l.source = informer.NewStatic()
	} else {
		client, base := l.own.HTTPClient(configstoreName)
		self := p.subscriber()
		l.reporter = informer.NewReporter(self, p.clock(), p.log, client, base)
		l.reporter.Count(rpcHealth(p.registry))
		l.source = l.reporter.Source(informer.Share(informer.NewRemoteFor(self, client, base)))
	}
	l.policies = informer.New[*policyv1.CallPolicy](l.source, "CallPolicy", l.informerConfig("CallPolicy"))
	l.instances = informer.New[*configstorev1.Instance](l.source, "Instance", l.informerConfig("Instance"))
	l.instances.OnChange(func([]informer.Event[*configstorev1.Instance]) { l.refreshInstances() })
	return l, nil
}

// hasConfigstore tells whether the process runs or knows a configstore.
func (l *links) hasConfigstore() bool {
	if l.process.settings.configstore != "" {
		return true
	}
	for _, service := range l.process.services {
		if service.Name() == configstoreName {
			return true
		}
	}
	return false
}

func (l *links) informerConfig(kind string) informer.Config {
	return informer.Config{
		Log: l.process.log, Registerer: l.process.registry,
		SnapshotFile: filepath.Join(l.process.folder.path, l.process.program+"-"+kind+".snapshot"),
	}
}

// loadTLS reads the certificate for calls between services: both sides show
// one and check the other's.
func (l *links) loadTLS() error {
	s := l.process.settings
	if s.tlsCert == "" {
		return nil
	}
	certificate, err := tls.LoadX509KeyPair(s.tlsCert, s.tlsKey)
	if err != nil {
		return fmt.Errorf("tls-cert, tls-key: %w", err)
	}
	pem, err := os.ReadFile(s.tlsCA)
	if err != nil {
		return fmt.Errorf("tls-ca: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return fmt.Errorf("tls-ca: no certificate in %s", s.tlsCA)
	}
	l.serverTLS = &tls.Config{
		Certificates: []tls.Certificate{certificate}, ClientCAs: pool,
		ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS13,
	}
	l.clientTLS = &tls.Config{
		Certificates: []tls.Certificate{certificate}, RootCAs: pool, MinVersion: tls.VersionTLS13,
	}
	return nil
}

func (l *links) tls() (server, client *tls.Config) { return l.serverTLS, l.clientTLS }

// dialer makes the client side of one service.
func (l *links) dialer(name string, tracer trace.Tracer) *rpc.Dialer {
	return rpc.NewDialer(l.clientConfig(name, tracer))
}

func (l *links) clientConfig(name string, tracer trace.Tracer) rpc.ClientConfig {
	return rpc.ClientConfig{
		Service: name, Registerer: l.process.registry, Signer: l.process.keys,
		Tracer: tracer, Clock: l.process.clock, TLS: l.clientTLS, Zone: l.process.settings.zone,
		Resolver: rpc.ResolverFunc(l.resolve), Policies: l.policy,
	}
}

// resolve looks in this process first, then in the register; of the configstore
// at the addresses that were given, and at its other members once they are known.
func (l *links) resolve(service string) []rpc.Endpoint {
	l.mu.RLock()
	local := l.local[service]
	l.mu.RUnlock()
	if len(local) > 0 {
		return local
	}
	remote := l.remote.Load()
	if service == configstoreName && l.process.settings.configstore != "" && remote == nil {
		return members(l.given(), nil)
	}
	if remote != nil {
		return (*remote)[service]
	}
	return nil
}

// given are the addresses of the configstore that the process was told.
func (l *links) given() []rpc.Endpoint {
	addresses, _ := parseAddresses(l.process.settings.configstore) // validated
	all := make([]rpc.Endpoint, len(addresses))
	for i, address := range addresses {
		all[i] = rpc.Endpoint{Address: address, TLS: l.clientTLS != nil && !strings.HasPrefix(address, "unix:")}
	}
	return all
}

// members are where the configstore is: at the addresses given, and where it
// has several members at those in the register too. A single one is known by
// the addresses given alone, which may be others than it has told.
func members(given, registered []rpc.Endpoint) []rpc.Endpoint {
	all := slices.Clone(given)
	if len(registered) < 2 {
		return all
	}
	for _, e := range registered {
		if !slices.ContainsFunc(given, func(g rpc.Endpoint) bool { return g.Address == e.Address }) {
			all = append(all, rpc.Endpoint{Address: e.Address, TLS: e.TLS})
		}
	}
	return all
}

func (l *links) refreshInstances() {
	remote := map[string][]rpc.Endpoint{}
	for _, object := range l.instances.List() {
		i := object.Spec
		if i.GetReady() {
			remote[i.GetService()] = append(remote[i.GetService()], rpc.Endpoint{
				Address: i.GetAddress(), KitexAddress: i.GetKitexAddress(), TLS: i.GetTls(),
				Zone: i.GetZone(), Weight: int(i.GetWeight()),
			})
		}
	}
	if l.process.settings.configstore != "" {
		remote[configstoreName] = members(l.given(), remote[configstoreName])
	}
	l.remote.Store(&remote)
}

// policy is the CallPolicy of a service, else the one named default, else
// nil: the documented defaults.
func (l *links) policy(service string) *policyv1.CallPolicy {
	if l.policies == nil {
		return nil
	}
	if policy, found := l.policies.Get("", service); found {
		return policy
	}
	policy, _ := l.policies.Get("", defaultPolicy)
	return policy
}

// add lets other services of the process reach a service that is ready.
func (l *links) add(h *Host) {
	endpoint := rpc.Endpoint{Local: h.server}
	if h.rpcListener != nil {
		endpoint.Address = l.reachable(h.rpcListener)
		endpoint.TLS = l.serverTLS != nil && !strings.HasPrefix(endpoint.Address, "unix:")
	}
	l.mu.Lock()
	l.local[h.name] = []rpc.Endpoint{endpoint}
	l.mu.Unlock()
	if h.name != brokerName && l.hasConfigstore() {
		l.follow.Do(l.startInformers)
	}
}

func (l *links) remove(h *Host) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.local, h.name)
}

func (l *links) startInformers() {
	l.running.Go(func() { _ = l.reporter.Run(l.context) })
	l.running.Go(func() { _ = l.policies.Run(l.context) })
	l.running.Go(func() { _ = l.instances.Run(l.context) })
}

// broker connects to the broker at the first call.
func (l *links) broker(ctx context.Context) (*mq.Client, error) {
	l.connecting.Lock() // and not mu, which every call takes
	defer l.connecting.Unlock()
	l.mu.RLock()
	known, embedded := l.client, l.embedded
	l.mu.RUnlock()
	if known != nil {
		return known, nil
	}
	client, err := mq.Connect(ctx, mq.ClientConfig{
		URL: l.process.settings.mqURL, Server: embedded, Token: l.brokerToken(), TLS: l.clientTLS,
		Log: l.process.log, Registerer: l.process.registry, Clock: l.process.clock,
	})
	if err != nil {
		return nil, fmt.Errorf("mq-url: %w", err)
	}
	l.mu.Lock()
	l.client = client
	l.mu.Unlock()
	return client, nil
}

// unfollow ends the informers, before what they follow is stopped.
func (l *links) unfollow() {
	l.cancel()
	l.running.Wait()
}

// close ends what belongs to no service.
func (l *links) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var faults []error
	if l.client != nil {
		faults = append(faults, l.client.Close())
	}
	return errors.Join(append(faults, l.own.Close())...)
}
