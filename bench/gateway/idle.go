//go:build linux

package gateway

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"time"

	"github.com/backlot-video/backlot/bench/internal/measure"
	"github.com/backlot-video/backlot/bench/internal/process"
)

// idleConnections stay open, after one request each. HAProxy reserves two
// descriptors for each, and many systems give a process 20,000.
const idleConnections = 9_500

// settle is how long memory is given to come to rest.
const settle = 5 * time.Second

// idle reports how much more memory a proxy has with idle connections than
// after some load without them.
func idle(report *measure.Report) error {
	r, err := newRig()
	if err != nil {
		return err
	}
	var all []named
	for _, c := range everyone {
		grown, err := r.idle(c)
		if errors.Is(err, errMissing) {
			continue
		}
		if err != nil {
			return errors.Join(fmt.Errorf("%s: %w", c.name, err), r.close())
		}
		all = append(all, named{version(c.name), figures{cost: grown}})
	}
	if err := r.close(); err != nil {
		return err
	}
	if len(all) < 2 {
		return errMissing
	}
	return line(report, "gateway/idle", "MB for 10,000 connections", false, all, func(f named) float64 { return f.cost }, nil)
}

// idle is one contender's growth in MB.
func (r *rig) idle(c contender) (float64, error) {
	warm := small
	warm.connections, warm.lasts = 8, 500*time.Millisecond
	p, err := c.start(r, warm)
	if err != nil {
		return 0, err
	}
	defer p.end()
	if _, err := warm.load(r, p, c); err != nil {
		return 0, err
	}
	before, err := p.memory()
	if err != nil {
		return 0, err
	}
	cmd := exec.CommandContext(context.Background(), r.program("load"), "-mode", "idle", "-address", p.address, "-connections", strconv.Itoa(idleConnections))
	input, err := cmd.StdinPipe()
	if err != nil {
		return 0, err
	}
	output, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	var faults tail
	cmd.Stderr = &faults
	if err := process.StartOn(otherCPU, cmd); err != nil {
		return 0, err
	}
	opened := bufio.NewScanner(output)
	if !opened.Scan() || opened.Text() != "open" {
		return 0, errors.Join(fmt.Errorf("load: %s", faults), input.Close(), cmd.Wait())
	}
	after, err := p.memory()
	if err := errors.Join(err, input.Close()); err != nil {
		return 0, errors.Join(err, cmd.Wait())
	}
	for opened.Scan() { // its result, so that it ends
	}
	if err := cmd.Wait(); err != nil {
		return 0, fmt.Errorf("load: %w: %s", err, faults)
	}
	return float64(after-before) / (1 << 20) * 10_000 / idleConnections, nil
}

// memory waits and then reads it.
func (p *proxy) memory() (int64, error) {
	<-time.After(settle)
	pids, err := process.Family(p.cmd.Process.Pid)
	if err != nil {
		return 0, err
	}
	return process.Memory(pids...)
}

// tail keeps what a program complains of.
type tail []byte

// Write implements io.Writer.
func (t *tail) Write(p []byte) (int, error) {
	*t = append(*t, p[:min(len(p), 4096)]...)
	return len(p), nil
}
