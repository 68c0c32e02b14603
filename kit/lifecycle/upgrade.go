package lifecycle

import (
	"context"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// upgrade starts a successor by signal: the program that is at this process's
// path by then, with its arguments and --takeover.
type upgrade struct {
	signals chan os.Signal // nil: none asks for it on this system
	program string         // as it was called, made absolute: the link, not what it led to
	limit   time.Duration  // until a successor serves
	drop    func() bool    // what it has been given, unless it serves
	failed  prometheus.Counter
}

// listen begins to take signals, so that one that comes early is not the end
// of the process.
func (u *upgrade) listen() error {
	if upgradeSignal == nil {
		return nil
	}
	program, err := exec.LookPath(os.Args[0])
	if err != nil {
		return err
	}
	if u.program, err = filepath.Abs(program); err != nil {
		return err
	}
	u.signals = make(chan os.Signal, 1)
	signal.Notify(u.signals, upgradeSignal)
	return nil
}

// serve starts a successor at each signal, one at a time, until ctx ends. A
// successor outlives this process; one that ends before it serves, or does
// neither within the limit and is killed, is logged, and nothing has changed.
func (u *upgrade) serve(ctx context.Context, log *slog.Logger) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-u.signals:
		}
		successor, ended, err := u.start(log)
		if err != nil {
			u.failed.Inc()
			log.Error("successor cannot be started; this process goes on", "program", u.program, "err", err)
			continue
		}
		if !u.await(ctx, successor, ended, log) {
			return
		}
		select { // asked for while that one started
		case <-u.signals:
		default:
		}
	}
}

// await returns when a successor has failed: with false where it has not, but
// ctx has ended.
func (u *upgrade) await(ctx context.Context, successor *exec.Cmd, ended <-chan error, log *slog.Logger) bool {
	late := time.NewTimer(u.limit)
	defer late.Stop()
	select {
	case <-ctx.Done():
		return false
	case err := <-ended:
		u.failed.Inc()
		log.Error("successor ended before it served; this process goes on", "program", u.program, "err", err)
		return true
	case <-late.C:
	}
	if !u.drop() { // it serves, at the last moment
		<-ctx.Done()
		return false
	}
	u.failed.Inc()
	err := killGroup(successor.Process)
	log.Error("successor neither served nor ended and was killed; this process goes on",
		"program", u.program, "pid", successor.Process.Pid, "limit", u.limit, "err", err)
	select {
	case <-ctx.Done():
		return false
	case <-ended:
		return true
	}
}

// start gives the successor and what it will have ended with. Who waits for it ends with this
// process at the latest.
func (u *upgrade) start(log *slog.Logger) (successor *exec.Cmd, ended <-chan error, err error) {
	args := slices.Clone(os.Args[1:])
	if !slices.ContainsFunc(args, func(arg string) bool {
		return arg == "--takeover" || arg == "-takeover" || arg == "--takeover=true" || arg == "-takeover=true"
	}) {
		args = append([]string{"--takeover"}, args...)
	}
	// It is no child of any context: it goes on when this process ends.
	successor = exec.Command(u.program, args...) //nolint:gosec,noctx // this program
	successor.Stdout, successor.Stderr = os.Stdout, os.Stderr
	ownGroup(successor) // with what it starts itself, it can be killed
	if err := successor.Start(); err != nil {
		return nil, nil, err
	}
	log.Info("successor started", "program", u.program, "pid", successor.Process.Pid)
	done := make(chan error, 1)
	go func() { done <- successor.Wait() }()
	return successor, done, nil
}

// run serves in the background until stop is called.
func (u *upgrade) run(ctx context.Context, log *slog.Logger, registerer prometheus.Registerer) (stop func()) {
	if u.signals == nil {
		return func() {}
	}
	u.failed = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "backlot_process_successor_failures_total",
		Help: "Successors that a signal asked for and that could not be started, ended before they served, or were killed because they did neither in time.",
	})
	registerer.MustRegister(u.failed)
	ctx, cancel := context.WithCancel(ctx)
	var worker sync.WaitGroup
	worker.Go(func() { u.serve(ctx, log) })
	return func() {
		cancel()
		worker.Wait()
	}
}
