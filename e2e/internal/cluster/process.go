// Package cluster builds Backlot's binaries, runs them as processes on a data
// folder and free ports, kills and restarts them. A test fails when what it
// started panicked or raced.
//
//	build.go    binaries, once per test run
//	process.go  one process
//	node.go     the all-in-one binary on a data folder
package cluster

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// stopTime bounds a graceful stop, readyTime a start.
const (
	stopTime  = 45 * time.Second
	readyTime = 90 * time.Second
)

// Process is a binary that runs.
type Process struct {
	Started time.Time

	t     *testing.T
	name  string
	cmd   *exec.Cmd
	log   string
	ended chan struct{} // closed after err is set
	err   error
}

// Start runs a binary with more environment beside this process's own; its
// output goes to a file. The test's end kills it and looks through the log.
func Start(t *testing.T, binary string, args, environ []string) *Process {
	t.Helper()
	name := filepath.Base(binary)
	log, err := os.CreateTemp(t.TempDir(), name+"-*.log")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary, args...)
	cmd.Env = append(environment(), environ...)
	cmd.Stdout, cmd.Stderr = log, log
	p := &Process{t: t, name: name, cmd: cmd, log: log.Name(), ended: make(chan struct{}), Started: time.Now()}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.err = cmd.Wait()
		_ = log.Close()
		close(p.ended)
	}()
	t.Cleanup(func() {
		p.Kill()
		p.inspect()
	})
	return p
}

// environment leaves out settings of Backlot that the caller's shell has, and
// OpenBLAS kernels that the processor may lack.
func environment() []string {
	var kept []string
	for _, entry := range os.Environ() {
		if !strings.HasPrefix(entry, "BACKLOT_") && !strings.HasPrefix(entry, "OPENBLAS_") {
			kept = append(kept, entry)
		}
	}
	return kept
}

// PID is the process's id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Ended is closed when the process has ended.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// ExitCode is that of a process that has ended; -1 when a signal ended it.
func (p *Process) ExitCode() int {
	<-p.ended
	return p.cmd.ProcessState.ExitCode()
}

// Kill ends the process as a power cut would, and waits.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill()
	<-p.ended
}

// Stop ends the process gracefully; it is a fault if that fails.
func (p *Process) Stop() {
	p.t.Helper()
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
		if p.err != nil {
			p.t.Errorf("%s ended with %v after SIGTERM:\n%s", p.name, p.err, p.Tail())
		}
	case <-time.After(stopTime):
		p.Kill()
		p.t.Errorf("%s did not end within %v of SIGTERM:\n%s", p.name, stopTime, p.Tail())
	}
}

// Terminate asks the process to end, and kills it if it does not in time.
func (p *Process) Terminate() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(stopTime):
		p.Kill()
	}
}

// Log is what the process has written so far.
func (p *Process) Log() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		p.t.Error(err)
	}
	return string(text)
}

// Tail is the end of the log.
func (p *Process) Tail() string {
	text := p.Log()
	return text[max(0, len(text)-4000):]
}

var broken = regexp.MustCompile(`(?m)^panic:|^fatal error:|WARNING: DATA RACE|level=ERROR.*panic`)

// inspect fails the test on a panic or a data race in the log.
func (p *Process) inspect() {
	text := []byte(p.Log())
	if at := broken.FindIndex(text); at != nil {
		part := text[at[0]:]
		p.t.Errorf("%s is broken:\n%s", p.name, bytes.TrimSpace(part[:min(len(part), 6000)]))
	}
}

// WaitReady waits until an operations address answers that all is ready, and
// returns how long after the start that was.
func (p *Process) WaitReady(ops string) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(context.Background(), readyTime)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if status(ctx, "http://"+ops+"/readyz") == http.StatusOK {
			return time.Since(p.Started), nil
		}
		select {
		case <-tick.C:
		case <-p.ended:
			return 0, fmt.Errorf("%s ended with %v before it was ready:\n%s", p.name, p.err, p.Tail())
		case <-ctx.Done():
			return 0, fmt.Errorf("%s was not ready within %v:\n%s", p.name, readyTime, p.Tail())
		}
	}
}

func status(ctx context.Context, address string) int {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return 0
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0
	}
	_ = response.Body.Close()
	return response.StatusCode
}
