package informer

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/backlot-video/backlot/bench/informer/report"
)

// figures are what one client took.
type figures struct {
	sync          report.Sync
	cpu           time.Duration // of a change
	allocated     int64         // for a change
	p50, p95, p99 time.Duration // from before it is written to the handler
}

// best is the better of each figure.
func (f figures) best(other figures) figures {
	f.sync.Allocated = min(f.sync.Allocated, other.sync.Allocated)
	f.sync.Live = min(f.sync.Live, other.sync.Live)
	f.sync.CPU = min(f.sync.CPU, other.sync.CPU)
	f.sync.Wall = min(f.sync.Wall, other.sync.Wall)
	f.cpu = min(f.cpu, other.cpu)
	f.allocated = min(f.allocated, other.allocated)
	f.p50, f.p95, f.p99 = min(f.p50, other.p50), min(f.p95, other.p95), min(f.p99, other.p99)
	return f
}

// build builds the two programs.
func build(dir string) error {
	for _, name := range []string{"api", "client"} {
		out, err := exec.CommandContext(context.Background(), "go", "build", "-o", filepath.Join(dir, name),
			"github.com/backlot-video/backlot/bench/informer/"+name).CombinedOutput()
		if err != nil {
			return fmt.Errorf("build %s: %w: %s", name, err, out)
		}
	}
	return nil
}

// run measures one client with a server of its own, which publishes changes at
// a rate.
func run(dir, way string, changes, perSecond int) (f figures, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	server, err := start(exec.CommandContext(ctx, filepath.Join(dir, "api"), "-pods", strconv.Itoa(pods), "-changes", strconv.Itoa(changes)))
	if err != nil {
		return f, err
	}
	defer server.end()
	address, err := server.out.ReadString('\n')
	if err != nil {
		return f, err
	}
	address = strings.TrimSpace(address)
	client, err := start(exec.CommandContext(ctx, filepath.Join(dir, "client"), "-way", way, "-server", address,
		"-pods", strconv.Itoa(pods), "-changes", strconv.Itoa(changes)))
	if err != nil {
		return f, err
	}
	defer client.end()
	answers := json.NewDecoder(client.out)
	if err := answers.Decode(&f.sync); err != nil {
		return f, err
	}
	time.Sleep(300 * time.Millisecond) //nolint:forbidigo // the watch that follows a streamed list is being opened, which nothing tells
	if _, err := io.WriteString(client.in, "\n"); err != nil {
		return f, err
	}
	var ready string
	if err := answers.Decode(&ready); err != nil {
		return f, err
	}
	sent, err := publish(ctx, address, perSecond)
	if err != nil {
		return f, err
	}
	var events report.Events
	if err := answers.Decode(&events); err != nil {
		return f, err
	}
	return f.with(sent, events)
}

func publish(ctx context.Context, address string, perSecond int) (sent []int64, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address+"/publish?rate="+strconv.Itoa(perSecond), nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	return sent, json.NewDecoder(response.Body).Decode(&sent)
}

func (f figures) with(sent []int64, events report.Events) (figures, error) {
	if len(sent) != len(events.Received) {
		return f, errors.New("not as many changes were received as sent")
	}
	took := make([]time.Duration, len(sent))
	for n := range sent {
		if took[n] = time.Duration(events.Received[n] - sent[n]); sent[n] == 0 || took[n] < 0 {
			return f, fmt.Errorf("change %d was received before it was sent", n)
		}
	}
	f.p50, f.p95, f.p99 = percentile(took, .5), percentile(took, .95), percentile(took, .99)
	f.cpu, f.allocated = events.CPU/time.Duration(len(sent)), events.Allocated/int64(len(sent))
	return f, nil
}

// process is a program with its ends.
type process struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func start(cmd *exec.Cmd) (*process, error) {
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	return &process{cmd, in, bufio.NewReader(out)}, cmd.Start()
}

func (p *process) end() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}
