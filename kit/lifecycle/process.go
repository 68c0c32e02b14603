package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/backlot-video/backlot/kit/identity"
	"github.com/backlot-video/backlot/kit/telemetry"
)

// process is what its services share.
type process struct {
	program  string
	settings *common
	log      *slog.Logger
	clock    func() time.Time
	registry *prometheus.Registry
	tracing  *telemetry.Tracing
	health   *telemetry.Health
	folder   *folder
	keys     *identity.Keys
	links    *links
	services []Service
}

func newProcess(ctx context.Context, program string, settings *common, out io.Writer, services []Service) (*process, error) {
	log, err := telemetry.NewLogger(out, settings.logLevel, settings.logFormat)
	if err != nil {
		return nil, usageError{err}
	}
	p := &process{
		program: program, settings: settings, log: log, clock: time.Now,
		registry: telemetry.NewRegistry(program, Version),
		health:   &telemetry.Health{},
		services: services,
	}
	if p.folder, err = openFolder(settings.dataDir); err != nil {
		return nil, err
	}
	if err := settings.succession.begin(ctx, p.folder.socket("takeover")); err != nil {
		return nil, err
	}
	if p.keys, err = identity.OpenKeys(settings.clusterKeyFile(), p.clock); err != nil {
		return nil, fmt.Errorf("cluster-key-file: %w", err)
	}
	p.tracing, err = telemetry.NewTracing(ctx, telemetry.TraceConfig{
		Program: program, Version: Version, Endpoint: settings.otlp, Ratio: settings.traceRatio,
	}, p.registry)
	if err != nil {
		return nil, err
	}
	if p.links, err = newLinks(ctx, p); err != nil {
		return nil, err
	}
	return p, nil
}

// run starts everything, waits and stops everything.
func (p *process) run(ctx context.Context) error {
	began := p.clock()
	for _, service := range p.services {
		p.health.Set(service.Name(), func(context.Context) error { return errors.New("not started") })
	}
	ops, err := p.serveOperations(ctx)
	if err != nil {
		return err
	}
	failed := make(chan error, len(p.services)+1)
	var hosts []*Host
	for _, service := range p.services {
		var host *Host
		if host, err = p.start(ctx, service, failed); host != nil {
			hosts = append(hosts, host)
		}
		if err != nil {
			break
		}
	}
	var cause error
	if err == nil && ctx.Err() == nil {
		p.log.Info("ready", "program", p.program, "version", Version, "duration_ms", p.clock().Sub(began).Milliseconds())
		cause, err = p.wait(ctx, failed)
	}
	return errors.Join(err, p.stop(ctx, hosts, ops, cause), drain(failed))
}

// wait returns when the process is to stop, with ErrReplaced as cause where
// another one serves in its place.
func (p *process) wait(ctx context.Context, failed <-chan error) (cause, err error) {
	replaced, err := p.settings.succession.serving(ctx)
	if err != nil {
		return nil, err
	}
	if replaced != nil {
		defer p.settings.succession.upgrade.run(ctx, p.log, p.registry)()
	}
	select {
	case <-ctx.Done():
		return nil, nil
	case err := <-failed:
		return nil, err
	case <-replaced:
		return ErrReplaced, nil
	}
}

// drain takes what services failed with while they were stopped.
func drain(failed <-chan error) error {
	select {
	case err := <-failed:
		return err
	default:
		return nil
	}
}

// start runs one service and waits until it is ready. The host is nil only
// when nothing was started.
func (p *process) start(ctx context.Context, service Service, failed chan<- error) (*Host, error) {
	host, err := p.newHost(ctx, service.Name())
	if err != nil {
		return nil, err
	}
	host.run(ctx, service, failed)
	select {
	case <-host.ready:
		host.serve(ctx, failed)
		return host, nil
	case <-host.done:
		return host, host.failure
	case <-ctx.Done():
		return host, nil
	}
}

// stop ends services in reverse order within the stop timeout, or within that
// of a process that has been replaced.
func (p *process) stop(ctx context.Context, hosts []*Host, ops *http.Server, cause error) error {
	limit := p.settings.stopTimeout
	if cause != nil {
		// A signal ends it as usual.
		p.log.Info("replaced; connections go on until they end", "program", p.program, "limit", p.settings.succession.drain)
		limit = p.settings.succession.drain + p.settings.stopTimeout
	} else {
		p.log.Info("stopping", "program", p.program)
		ctx = context.WithoutCancel(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	faults := []error{p.settings.succession.end()}
	if ops != nil && cause != nil {
		faults = append(faults, ops.Shutdown(ctx)) // the successor's answers count from now on
	}
	if cause == nil {
		sayGoodbye(ctx, registrations(hosts))
	}
	p.links.unfollow()
	for i := len(hosts) - 1; i >= 0; i-- {
		if err := hosts[i].stop(ctx, cause); err != nil {
			faults = append(faults, fmt.Errorf("%s: stop: %w", hosts[i].name, err))
		}
	}
	ctx = context.WithoutCancel(ctx)
	faults = append(faults, p.links.close(), p.tracing.Shutdown(ctx))
	if ops != nil {
		faults = append(faults, ops.Shutdown(ctx))
	}
	return errors.Join(faults...)
}

// registrations are those of services that others may find.
func registrations(hosts []*Host) (all []*registration) {
	for _, host := range hosts {
		if host.registration != nil {
			all = append(all, host.registration)
		}
	}
	return all
}

// serveOperations opens /metrics, /healthz and /readyz.
func (p *process) serveOperations(ctx context.Context) (*http.Server, error) {
	if p.settings.opsListen == "" {
		return nil, nil
	}
	listener, err := p.settings.succession.listen(ctx, p.settings.opsListen, "ops-listen")
	if err != nil {
		return nil, err
	}
	server := &http.Server{
		Handler:           p.health.Handler(p.registry),
		ReadHeaderTimeout: 5 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
	}
	go func() { // ends with Shutdown
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			p.log.Error("operations listener ended", "err", err)
		}
	}()
	return server, nil
}
