package lifecycle

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"
	"gocloud.dev/blob"

	"github.com/backlot-video/backlot/kit/database"
	"github.com/backlot-video/backlot/kit/identity"
	"github.com/backlot-video/backlot/kit/informer"
	"github.com/backlot-video/backlot/kit/mq"
	"github.com/backlot-video/backlot/kit/rpc"
	"github.com/backlot-video/backlot/proto/rpcdesc"
)

// Host is what a service gets from the process that runs it. Its methods
// are safe for concurrent use.
type Host struct {
	Log        *slog.Logger
	Clock      func() time.Time
	DataDir    string // the service's own folder, absolute
	Registerer prometheus.Registerer
	Tracer     trace.Tracer
	TraceRatio float64        // of the traces begun here that are sampled; below 0 where tracing is off
	Keys       *identity.Keys // signs and verifies principals

	name    string
	process *process
	server  *rpc.Server
	dialer  *rpc.Dialer

	rpcListener, kitexListener net.Listener
	registration               *registration
	handles                    atomic.Bool // there is something to serve by Kitex

	cancel    context.CancelCauseFunc
	ready     chan struct{}
	readyOnce sync.Once
	done      chan struct{} // closed after Run and all of Go ended
	failure   error         // read after done
	workers   sync.WaitGroup
	workersUp context.Context

	mu       sync.Mutex
	replicas *rpc.Dialer // made when needed
	closers  []func() error
	checks   map[string]func(context.Context) error
}

// newHost locks the service's folder and opens its listeners; they serve
// once the service is ready.
func (p *process) newHost(ctx context.Context, name string) (*Host, error) {
	dir, unlock, err := p.folder.service(p.folderName(name), p.settings.succession.lock)
	if err != nil {
		return nil, err
	}
	h := &Host{
		Log: p.log.With("service", name), Clock: p.clock, DataDir: dir,
		Registerer: p.registry, Tracer: p.tracing.Tracer(name), Keys: p.keys,
		TraceRatio: p.tracing.Ratio,
		name:       name, process: p,
		ready: make(chan struct{}), done: make(chan struct{}),
		closers: []func() error{unlock},
		checks:  map[string]func(context.Context) error{},
	}
	serverTLS, _ := p.links.tls()
	h.server = rpc.NewServer(rpc.ServerConfig{
		Service: name, Log: h.Log, Registerer: p.registry, Verifier: p.keys,
		Tracer: h.Tracer, Clock: p.clock, TLS: serverTLS,
	})
	h.dialer = p.links.dialer(name, h.Tracer)
	h.closers = append(h.closers, h.dialer.Close)
	if err := h.listen(ctx); err != nil {
		return nil, errors.Join(err, h.close())
	}
	return h, nil
}

// folderName keeps the embedded broker of a process of one service apart.
func (p *process) folderName(service string) string {
	if service == brokerName && len(p.services) == 2 {
		return filepath.Join(p.services[1].Name(), brokerName)
	}
	return service
}

func (h *Host) listen(ctx context.Context) (err error) {
	if h.name == brokerName {
		return nil
	}
	endpoint, alone := h.process.settings.endpoints[h.name]
	if !alone {
		h.rpcListener, err = h.Listen(ctx, "unix:"+h.process.folder.socket(h.name), h.name)
		return err
	}
	if h.rpcListener, err = h.Listen(ctx, endpoint.listen, h.name+".rpc-listen"); err != nil {
		return err
	}
	h.closers = append(h.closers, ignoreClosed(h.rpcListener.Close))
	if endpoint.kitexListen == "" {
		return nil
	}
	if h.kitexListener, err = h.Listen(ctx, endpoint.kitexListen, h.name+".kitex-listen"); err != nil {
		return err
	}
	h.closers = append(h.closers, ignoreClosed(h.kitexListener.Close))
	return nil
}

// Listen opens `host:port` or `unix:/path`, or takes the socket of the process
// that this one replaces. setting names the flag that changes the address.
func (h *Host) Listen(ctx context.Context, address, setting string) (net.Listener, error) {
	return h.process.settings.succession.listen(ctx, address, setting)
}

// DrainTime is how long connections may go on after the end of Run's context:
// as usual at a stop, longer where the process has been replaced.
func (h *Host) DrainTime(ctx context.Context, usual time.Duration) time.Duration {
	if errors.Is(context.Cause(ctx), ErrReplaced) {
		return h.process.settings.succession.drain
	}
	return usual
}

func ignoreClosed(closer func() error) func() error {
	return func() error {
		if err := closer(); !errors.Is(err, net.ErrClosed) {
			return err
		}
		return nil
	}
}

// Name is the service's.
func (h *Host) Name() string { return h.name }

// Together tells whether a service is of this process.
func (h *Host) Together(service string) bool {
	return slices.ContainsFunc(h.process.services, func(s Service) bool { return s.Name() == service })
}

// Ready says that the service can serve: its listeners open, others find
// it. Call it once, after every Handle.
func (h *Host) Ready() { h.readyOnce.Do(func() { close(h.ready) }) }

// Handle serves a proto service: by Connect and Kitex on the service's
// listeners, and in process. impl has the generated Server interface.
func (h *Host) Handle(desc rpcdesc.Service, impl any) {
	h.server.Handle(desc, impl)
	h.handles.Store(true)
}

// HandleHTTP serves plain HTTP on the service's listener.
func (h *Host) HandleHTTP(pattern string, handler http.Handler) {
	h.server.HandleHTTP(pattern, handler)
}

// Dial returns calls to another service, found anew at each call.
func (h *Host) Dial(service string) rpcdesc.Conn { return h.dialer.Conn(service) }

// HTTPClient returns a client and base URL for streaming Connect calls to
// another service.
func (h *Host) HTTPClient(service string) (*http.Client, string) {
	return h.dialer.HTTPClient(service)
}

// StreamClient is HTTPClient by HTTP/2, for calls that stream both ways. It
// is closed after the service ended.
func (h *Host) StreamClient(service string) (*http.Client, string) {
	config := h.process.links.clientConfig(h.name, h.Tracer)
	config.Registerer = nil
	config.Protocols = new(http.Protocols)
	config.Protocols.SetUnencryptedHTTP2(true)
	config.Protocols.SetHTTP2(true)
	dialer := rpc.NewDialer(config)
	h.onClose(dialer.Close)
	return dialer.HTTPClient(service)
}

// TLS is the certificate of calls between services; nil without one.
func (h *Host) TLS() (server, client *tls.Config) { return h.process.links.tls() }

// Source gives configuration objects; it is empty where the process runs
// without a configstore.
func (h *Host) Source() informer.Source { return h.process.links.source }

// Snapshot is the file in which an informer of this service keeps a kind's
// last good state.
func (h *Host) Snapshot(kind string) string {
	return filepath.Join(h.DataDir, "snapshot-"+kind+".bin")
}

// Database opens the service's database and migrates it. It is closed
// after the service ended.
func (h *Host) Database(ctx context.Context, migrations fs.FS) (*database.DB, error) {
	db, err := database.Open(ctx, database.Config{
		Service: h.name, DataDir: h.DataDir, URL: h.process.settings.databaseURL,
		Log: h.process.log, Registerer: h.Registerer, Clock: h.Clock,
	}, migrations)
	if err != nil {
		return nil, err
	}
	h.onClose(db.Close)
	h.Check("database", db.Ping)
	return db, nil
}

// MQ returns the process's client of the message broker.
func (h *Host) MQ(ctx context.Context) (*mq.Client, error) { return h.process.links.broker(ctx) }

// Bucket opens a bucket of the installation (`media`, `models`).
func (h *Host) Bucket(ctx context.Context, name string) (*blob.Bucket, error) {
	bucket, err := h.process.openBucket(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("bucket %s: %w", name, err)
	}
	h.onClose(bucket.Close)
	return bucket, nil
}

// BucketDir is the folder of a bucket that lies on this machine's disk.
func (h *Host) BucketDir(name string) (dir string, local bool) {
	return h.process.bucketDir(name)
}

// Go runs fn beside Run; Run's context ends it. An error stops the service.
func (h *Host) Go(name string, fn func(ctx context.Context) error) {
	h.workers.Go(func() {
		if err := fn(h.workersUp); err != nil && h.workersUp.Err() == nil {
			h.fail(fmt.Errorf("%s: %w", name, err))
		}
	})
}

// Check adds a condition of readiness beside having called Ready.
func (h *Host) Check(name string, check func(ctx context.Context) error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.checks[name] = check
}

func (h *Host) onClose(fn func() error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closers = append(h.closers, fn)
}

// run starts the service; done is closed when it and its workers ended.
func (h *Host) run(ctx context.Context, service Service, failed chan<- error) {
	h.workersUp, h.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
	go func() {
		defer close(h.done)
		err := service.Run(h.workersUp, h)
		stopped := h.workersUp.Err() != nil
		h.cancel(nil)
		h.workers.Wait()
		h.mu.Lock()
		h.failure = errors.Join(h.failure, err)
		if !stopped && h.failure == nil {
			h.failure = errors.New("ended by itself")
		}
		if h.failure != nil {
			h.failure = fmt.Errorf("%s: %w", h.name, h.failure)
		}
		failure := h.failure
		h.mu.Unlock()
		if failure != nil {
			failed <- failure
		}
	}()
}

// fail ends the service with an error.
func (h *Host) fail(err error) {
	h.mu.Lock()
	h.failure = errors.Join(h.failure, err)
	h.mu.Unlock()
	h.cancel(nil)
}

// serve opens the service to others.
func (h *Host) serve(ctx context.Context, failed chan<- error) {
	h.process.health.Set(h.name, h.problem)
	if h.rpcListener != nil {
		go h.serveUntilShutdown(h.server.Serve, h.rpcListener, failed)
	}
	if h.kitexListener != nil && h.handles.Load() {
		go h.serveUntilShutdown(h.server.ServeKitex, h.kitexListener, failed)
	}
	h.process.links.add(h)
	h.registration = h.process.links.register(ctx, h)
}

func (h *Host) serveUntilShutdown(serve func(net.Listener) error, listener net.Listener, failed chan<- error) {
	if err := serve(listener); err != nil && !errors.Is(err, net.ErrClosed) {
		select {
		case failed <- fmt.Errorf("%s: %w", h.name, err):
		default: // the process is stopping already
		}
	}
}

// problem is the readiness of the service.
func (h *Host) problem(ctx context.Context) error {
	select {
	case <-h.done:
		return errors.New("stopped")
	default:
	}
	h.mu.Lock()
	checks := make(map[string]func(context.Context) error, len(h.checks))
	for name, check := range h.checks {
		checks[name] = check
	}
	h.mu.Unlock()
	var faults []error
	for name, check := range checks {
		if err := check(ctx); err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", name, err))
		}
	}
	return errors.Join(faults...)
}

// stop refuses new calls, waits for those in flight, ends the service and
// closes what it opened.
// cause is nil, or ErrReplaced.
func (h *Host) stop(ctx context.Context, cause error) error {
	if h.registration != nil {
		h.registration.end(ctx, cause == nil)
	}
	faults := []error{h.server.Shutdown(ctx)}
	h.cancel(cause)
	select {
	case <-h.done:
	case <-ctx.Done():
		if cause != nil { // its connections had their time, or a signal says that it is over
			h.Log.Warn("connections were cut in a process that has been replaced")
			return nil
		}
		return errors.Join(append(faults, errors.New("did not end in time"))...)
	}
	h.process.links.remove(h)
	return errors.Join(append(faults, h.close())...)
}

func (h *Host) close() error {
	h.mu.Lock()
	closers := h.closers
	h.closers = nil
	h.mu.Unlock()
	var faults []error
	for i := len(closers) - 1; i >= 0; i-- {
		faults = append(faults, closers[i]())
	}
	return errors.Join(faults...)
}
