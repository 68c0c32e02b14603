package tcc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// server is a process under test.
type server struct {
	cmd   *exec.Cmd
	log   string
	ended chan struct{} // closed at its end
	fault error         // read after ended
}

// start runs a program that listens on an address and waits until it does.
func start(attributes *syscall.SysProcAttr, dir, name, address string, env []string, program string, args ...string) (*server, error) {
	s := &server{cmd: exec.CommandContext(context.Background(), program, args...), log: filepath.Join(dir, name+".log"), ended: make(chan struct{})}
	output, err := os.OpenFile(s.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer output.Close()
	s.cmd.Dir, s.cmd.Env = dir, append(os.Environ(), env...)
	s.cmd.Stdout, s.cmd.Stderr, s.cmd.SysProcAttr = output, output, attributes
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		s.fault = s.cmd.Wait()
		close(s.ended)
	}()
	return s, s.await(address)
}

// await returns when the server listens.
func (s *server) await(address string) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var dialer net.Dialer
	for {
		conn, err := dialer.DialContext(ctx, "tcp", address)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-tick.C:
		case <-s.ended:
			return fmt.Errorf("%s ended: %v: %s", s.cmd.Path, s.fault, s.tail())
		case <-ctx.Done():
			return fmt.Errorf("%s: %w: %s", s.cmd.Path, err, s.tail())
		}
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

// end sends a signal and waits.
func (s *server) end(signal os.Signal) {
	_ = s.cmd.Process.Signal(signal)
	<-s.ended
}

// cpu is the processor time of the process.
func (s *server) cpu() (time.Duration, error) {
	own, _, err := processTime(s.cmd.Process.Pid)
	return own, err
}

// tick is the unit of /proc's times.
const tick = 10 * time.Millisecond

// processTime is a process's own processor time and that of children that it
// has waited for.
func processTime(pid int) (own, children time.Duration, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, 0, err
	}
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(fields) < 15 {
		return 0, 0, errors.New("/proc: too few fields")
	}
	var times [4]time.Duration // user, system, children's user and system
	for i := range times {
		n, err := strconv.ParseInt(fields[11+i], 10, 64)
		if err != nil {
			return 0, 0, err
		}
		times[i] = time.Duration(n) * tick
	}
	return times[0] + times[1], times[2] + times[3], nil
}

// familyTime is the processor time of a process and its children, dead ones
// included.
func familyTime(pid int) (time.Duration, error) {
	own, dead, err := processTime(pid)
	if err != nil {
		return 0, err
	}
	total := own + dead
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return 0, err
	}
	for _, child := range strings.Fields(string(text)) {
		n, err := strconv.Atoi(child)
		if err != nil {
			return 0, err
		}
		if own, _, err := processTime(n); err == nil { // it may have ended just now
			total += own
		}
	}
	return total, nil
}
