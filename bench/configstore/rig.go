//go:build linux

package configstore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/backlot-video/backlot/bench/internal/measure"
	"github.com/backlot-video/backlot/bench/internal/process"
	"github.com/backlot-video/backlot/kit/testport"
)

// peerName is the peer: the verb `configstore etcd` is etcd's own main.
const peerName = "etcd v3.7.3"

const module = "github.com/backlot-video/backlot/services/configstore/"

// rig has the programs and what runs of them.
type rig struct {
	dir  string
	runs []*server
}

func newRig(programs ...string) (*rig, error) {
	dir, err := os.MkdirTemp("", "backlot-bench-configstore-")
	if err != nil {
		return nil, err
	}
	r := &rig{dir: dir}
	args := []string{"build", "-o", dir + "/"}
	for _, program := range programs {
		args = append(args, module+program)
	}
	if out, err := exec.CommandContext(context.Background(), "go", args...).CombinedOutput(); err != nil {
		return nil, errors.Join(fmt.Errorf("go build: %w: %s", err, out), r.close())
	}
	return r, nil
}

// close ends what was started and removes what it wrote.
func (r *rig) close() error {
	for _, s := range r.runs {
		s.end()
	}
	return os.RemoveAll(r.dir)
}

// server is a process that was started.
type server struct {
	cmd   *exec.Cmd
	log   string
	ended chan struct{}
}

func (r *rig) start(name, program string, args ...string) (*server, error) {
	log, err := os.CreateTemp(r.dir, name+"-*.log")
	if err != nil {
		return nil, err
	}
	defer log.Close()
	s := &server{log: log.Name(), ended: make(chan struct{})}
	s.cmd = exec.CommandContext(context.Background(), filepath.Join(r.dir, program), args...)
	s.cmd.Dir, s.cmd.Stdout, s.cmd.Stderr = r.dir, log, log
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if err := s.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() { defer close(s.ended); _ = s.cmd.Wait() }()
	r.runs = append(r.runs, s)
	return s, nil
}

func (s *server) end() {
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.ended:
	case <-time.After(5 * time.Second):
		_ = s.cmd.Process.Kill()
		<-s.ended
	}
}

func (s *server) tail() string {
	text, err := os.ReadFile(s.log)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-8):], "\n")
}

func freeAddresses(n int) ([]string, error) {
	all := make([]string, n)
	for i := range all {
		var err error
		if all[i], err = testport.Find(); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// awaitReady tries a call until it succeeds.
func awaitReady(servers []*server, call func(ctx context.Context) error) error {
	for deadline := time.Now().Add(30 * time.Second); ; {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		err := call(ctx)
		cancel()
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("is not ready: %w: %s", err, servers[0].tail())
		}
		<-time.After(20 * time.Millisecond)
	}
}

// contender is one side of a comparison.
type contender struct {
	servers []*server
	// op is the nth operation of a client.
	op func(ctx context.Context, client, n int) error
	// clients says what n has to begin with in the next round.
	begun int

	best sample
}

// sample is what a round of load has come to.
type sample struct {
	perSecond float64
	cpu       time.Duration // of servers and clients, for each operation
	p50, p99  time.Duration
}

func (c *contender) used() (time.Duration, error) {
	pids := make([]int, len(c.servers))
	for n, s := range c.servers {
		pids[n] = s.cmd.Process.Pid
	}
	servers, err := process.CPU(pids...)
	return servers + measure.CPU(), err
}

// load has clients work for a time, each one operation after the other, and
// keeps the best of each figure.
func (c *contender) load(clients int, length time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), length+20*time.Second)
	defer cancel()
	before, err := c.used()
	if err != nil {
		return err
	}
	took := make([][]time.Duration, clients)
	faults := make([]error, clients)
	start := time.Now()
	var work sync.WaitGroup
	for client := range clients {
		work.Go(func() {
			for n := c.begun; time.Since(start) < length; n++ {
				began := time.Now()
				if err := c.op(ctx, client, n); err != nil {
					faults[client] = err
					return
				}
				took[client] = append(took[client], time.Since(began))
			}
		})
	}
	work.Wait()
	passed := time.Since(start)
	after, err := c.used()
	if err := errors.Join(err, errors.Join(faults...)); err != nil {
		return err
	}
	all := slices.Concat(took...)
	c.begun += len(all)
	slices.Sort(all)
	c.best.keep(sample{
		perSecond: float64(len(all)) / passed.Seconds(), cpu: (after - before) / time.Duration(len(all)),
		p50: all[len(all)/2], p99: all[len(all)*99/100],
	})
	return nil
}

// keep leaves the better of each figure: noise only adds.
func (s *sample) keep(other sample) {
	if s.cpu == 0 {
		*s = other
		return
	}
	s.perSecond = max(s.perSecond, other.perSecond)
	s.cpu, s.p50, s.p99 = min(s.cpu, other.cpu), min(s.p50, other.p50), min(s.p99, other.p99)
}

func microseconds(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
