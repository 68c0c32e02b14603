package cluster

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/backlot-video/backlot/kit/testport"
)

// Node is the all-in-one binary, its data folder and its addresses. It may be
// started again and again, one process at a time.
type Node struct {
	Binary  string
	Dir     string // data folder
	Gateway string // host:port
	Ops     string // host:port

	t *testing.T
}

// NewNode chooses a data folder and addresses.
func NewNode(t *testing.T, variant Variant) *Node {
	t.Helper()
	return &Node{
		t: t, Binary: Build(t, variant, "cmd/backlot"), Dir: filepath.Join(t.TempDir(), "data"),
		Gateway: testport.Address(t), Ops: testport.Address(t),
	}
}

// URL is the gateway's.
func (n *Node) URL() string { return "http://" + n.Gateway }

// Socket is where a service of the process listens for others of this machine.
func (n *Node) Socket(service string) string {
	return "unix:" + filepath.Join(n.Dir, "run", service+".sock")
}

// OperatorKey is the file that Backlot makes at its first start.
func (n *Node) OperatorKey() string { return filepath.Join(n.Dir, "storefront", "operator.key") }

// Start runs `backlot up` with more arguments and environment.
func (n *Node) Start(args, environ []string) *Process {
	n.t.Helper()
	args = append([]string{"up", "--data-dir", n.Dir, "--gateway.listen", n.Gateway, "--ops-listen", n.Ops}, args...)
	return Start(n.t, n.Binary, args, environ)
}

// Up starts and waits until all services are ready.
func (n *Node) Up(args ...string) *Process {
	n.t.Helper()
	p := n.Start(args, nil)
	if _, err := p.WaitReady(n.Ops); err != nil {
		n.t.Fatal(err)
	}
	return p
}

// Demo runs `backlot demo` once and returns what it printed.
func (n *Node) Demo(ctx context.Context, limit time.Duration, args ...string) (string, error) {
	args = append([]string{
		"--data-dir", n.Dir, "--gateway", n.URL(), "--seconds", "2", "--size", "160x90",
	}, args...)
	return Demo(ctx, n.Binary, limit, args...)
}

// Demo runs `backlot demo` with a time limit and returns what it printed;
// without a receipt it is an error.
func Demo(ctx context.Context, binary string, limit time.Duration, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var out bytes.Buffer
	demo := exec.CommandContext(ctx, binary, append([]string{"demo"}, args...)...)
	demo.Env = environment()
	demo.Stdout, demo.Stderr = &out, &out
	err := demo.Run()
	text := strings.ReplaceAll(out.String(), "\r", "\n")
	switch {
	case err != nil:
		return text, fmt.Errorf("backlot demo: %w (%v)\n%s", err, ctx.Err(), text[max(0, len(text)-2000):])
	case !strings.Contains(text, "BACKLOT RECEIPT"):
		return text, fmt.Errorf("backlot demo printed no receipt:\n%s", text)
	}
	return text, nil
}
