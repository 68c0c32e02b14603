// Package lifecycle runs services as one process: settings, ordered start,
// readiness, reverse stop, and the links between services.
//
//	lifecycle.go  Service, Main and Run
//	common.go     settings that every process has
//	process.go    start and stop
//	host.go       Host: what a service gets
//	links.go      how a service reaches others: in process, or by the register
//	registration.go  keeping an instance in the register
//	replicas.go   other instances of the same service
//	folder.go     the data folder: version, lock, sockets
//	listen.go     listeners with errors that say what to change
//	broker.go     the embedded message broker as a Service
//	successor.go  a new process in place of one that runs
//	memory.go     what the process may have of it
//
// A service runs alike alone and beside others: in one process, calls pass
// the same chain without a network. It does not restart what fails: a
// service that ends with an error stops the process, the supervisor above
// starts it again.
package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/KimMachineGun/automemlimit/memlimit"

	"github.com/backlot-video/backlot/kit/config"
)

// Version of the release; set by the linker.
var Version = "dev"

// Service is one part of a process.
type Service interface {
	// Name is the service's noun: lower case, `settlement`.
	Name() string
	// RegisterFlags declares the settings, prefixed by the name.
	RegisterFlags(set *config.Set)
	// Validate reports every fault of the settings at once.
	Validate() error
	// Run serves until ctx ends and then returns nil. It calls host.Ready
	// once when it can serve. What it gets from host outlives it.
	Run(ctx context.Context, host *Host) error
}

// Tuner is a Service that knows what suits a process that has nothing else in it.
type Tuner interface {
	Service
	// TuneProcess sets what is the process's, such as when garbage is collected. It
	// leaves what the environment sets, and is called once, before Run.
	TuneProcess()
}

// Main runs services until a signal ends the process. They start in order,
// each when the former is ready, and stop in reverse.
func Main(program string, services ...Service) {
	os.Exit(Execute(program, os.Args[1:], services...)) //nolint:forbidigo // this is the body of main functions
}

// Execute is Main with arguments, and returns the exit code: 0 after a
// graceful stop, 1 after a failure, 2 when the arguments are wrong.
func Execute(program string, args []string, services ...Service) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	go func() { // a second signal ends the process at once
		<-ctx.Done()
		stop()
	}()
	_ = boundMemory(memlimit.FromCgroup) // where there are no control groups, nothing is bounded
	tune(services)
	err := Run(ctx, program, args, os.Environ(), os.Stderr, services...)
	var usage usageError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &usage):
		_, _ = fmt.Fprintf(os.Stderr, "%s: %v\n", program, err)
		return 2
	default:
		_, _ = fmt.Fprintf(os.Stderr, "%s: %v\n", program, err)
		return 1
	}
}

// tune has a service that is alone set up its process.
func tune(services []Service) {
	if len(services) != 1 {
		return
	}
	if tuner, is := services[0].(Tuner); is {
		tuner.TuneProcess()
	}
}

// usageError is a fault of the arguments.
type usageError struct{ error }

// Run is Main without the process: it returns when ctx ends or a service
// fails. Logs go to out.
func Run(ctx context.Context, program string, args, environ []string, out io.Writer, services ...Service) error {
	set := config.New(program)
	common := registerCommon(set, services)
	if !replaceable(services) {
		services = withBroker(services)
	}
	for _, service := range services {
		service.RegisterFlags(set.Sub(service.Name()))
	}
	rest, err := set.Parse(args, environ)
	if errors.Is(err, config.ErrHelp) {
		return writeHelp(program, set, services)
	}
	if err != nil {
		return usageError{err}
	}
	if len(rest) == 1 && rest[0] == "version" {
		_, err := fmt.Println(program, Version)
		return err
	}
	if len(rest) > 0 {
		return usageError{fmt.Errorf("argument %q is not known; try --help", rest[0])}
	}
	faults := []error{common.validate()}
	for _, service := range services {
		faults = append(faults, service.Validate())
	}
	if err := errors.Join(faults...); err != nil {
		return usageError{err}
	}
	if common.mqURL != "" {
		services = withoutEmbedded(services)
	}
	process, err := newProcess(ctx, program, common, out, services)
	if err != nil {
		return err
	}
	return process.run(ctx)
}

func writeHelp(program string, set *config.Set, services []Service) error {
	fmt.Printf("%s runs", program)
	for _, service := range services {
		fmt.Printf(" %s", service.Name())
	}
	fmt.Printf(" until SIGINT or SIGTERM; `%s version` prints its version.\n\n", program)
	return set.WriteHelp(os.Stdout)
}
