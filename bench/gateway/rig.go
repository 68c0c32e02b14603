//go:build linux

package gateway

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/backlot-video/backlot/bench/internal/process"
	"github.com/backlot-video/backlot/kit/testcert"
	"github.com/backlot-video/backlot/kit/testport"
)

// The processors: of the proxy, and of load, backend and configstore.
const (
	proxyCPU = 0
	otherCPU = 1
)

// rig is what all contenders share.
type rig struct {
	dir       string
	backend   *proxy // it is no proxy, but a process like one
	cert, key string
}

// modules of the programs.
const (
	here     = "github.com/backlot-video/backlot/bench/gateway/"
	services = "github.com/backlot-video/backlot/services/"
)

func newRig() (r *rig, err error) {
	r = &rig{}
	if r.dir, err = os.MkdirTemp("", "backlot-bench-gateway-"); err != nil {
		return nil, err
	}
	build := exec.CommandContext(context.Background(), "go", "build", "-o", r.dir+"/",
		here+"backend", here+"load", here+"reverse", services+"gateway/cmd/gateway", services+"configstore/cmd/configstore")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, errors.Join(fmt.Errorf("go build: %w: %s", err, out), r.close())
	}
	if err := errors.Join(os.Chmod(r.dir, 0o755), r.certificate()); err != nil { // nginx changes its user
		return nil, errors.Join(err, r.close())
	}
	address, err := testport.Find()
	if err != nil {
		return nil, errors.Join(err, r.close())
	}
	r.backend, err = r.start(otherCPU, "backend", address, r.program("backend"), "-listen", address)
	if err != nil {
		return nil, errors.Join(err, r.close())
	}
	return r, nil
}

func (r *rig) close() error {
	if r.backend != nil {
		r.backend.end()
	}
	return os.RemoveAll(r.dir)
}

func (r *rig) program(name string) string { return filepath.Join(r.dir, name) }

// certificate makes one for loopback: ECDSA, P-256.
func (r *rig) certificate() error {
	leaf := testcert.New().LeafUntil(time.Now().Add(24*time.Hour), "localhost", "127.0.0.1")
	r.cert, r.key = filepath.Join(r.dir, "cert.pem"), filepath.Join(r.dir, "key.pem")
	return errors.Join(
		os.WriteFile(r.cert, leaf.Certificate, 0o600), os.WriteFile(r.key, leaf.Key, 0o600),
		os.WriteFile(filepath.Join(r.dir, "both.pem"), append(leaf.Certificate, leaf.Key...), 0o600), // as HAProxy reads it
	)
}

// proxy is a process under test.
type proxy struct {
	name, address string
	token         string // for requests to the path with policies
	cmd           *exec.Cmd
	log           string
	ended         chan error
	beside        *proxy // ends with it
}

// start runs a program on a processor and waits until it listens.
func (r *rig) start(cpu int, name, address, program string, args ...string) (*proxy, error) {
	log, err := os.CreateTemp(r.dir, filepath.Base(name)+"-*.log")
	if err != nil {
		return nil, err
	}
	defer log.Close()
	p := &proxy{name: name, address: address, log: log.Name(), ended: make(chan error, 1)}
	p.cmd = exec.CommandContext(context.Background(), program, args...)
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = r.dir, log, log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	if err := process.StartOn(cpu, p.cmd); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() { p.ended <- p.cmd.Wait() }()
	deadline, dialer := time.Now().Add(20*time.Second), &net.Dialer{Timeout: time.Second}
	for {
		conn, err := dialer.DialContext(context.Background(), "tcp", address)
		if err == nil {
			return p, conn.Close()
		}
		select {
		case fault := <-p.ended:
			p.ended <- fault
			return nil, fmt.Errorf("%s ended: %v: %s", name, fault, p.tail())
		case <-time.After(10 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			p.end()
			return nil, fmt.Errorf("%s does not listen: %w: %s", name, err, p.tail())
		}
	}
}

// end stops the process with its children, at once: nothing of it is kept.
func (p *proxy) end() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(2 * time.Second):
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) // its group is its own
		<-p.ended
	}
	if p.beside != nil {
		p.beside.end()
	}
}

func (p *proxy) tail() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-8):], "\n")
}
