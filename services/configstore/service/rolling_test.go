package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/backlot-video/backlot/kit/config"
	"github.com/backlot-video/backlot/kit/lifecycle"
)

// part is a service that a test writes.
type part struct {
	name string
	run  func(ctx context.Context, host *lifecycle.Host) error
}

func (p *part) Name() string                                        { return p.name }
func (p *part) RegisterFlags(*config.Set)                           {}
func (p *part) Validate() error                                     { return nil }
func (p *part) Run(ctx context.Context, host *lifecycle.Host) error { return p.run(ctx, host) }

// beside runs a service in a process of its own that knows the configstore.
// stop ends it and waits for that.
func (p *process) beside(dir, name string, s *part) (stop func()) {
	p.t.Helper()
	ctx, cancel := context.WithCancel(p.t.Context())
	var logs syncBuffer
	ended := make(chan error, 1)
	go func() {
		ended <- lifecycle.Run(ctx, s.name, []string{
			"--data-dir", filepath.Join(dir, name), "--ops-listen", "", "--configstore", "unix:" + p.socket,
			"--cluster-key-file", filepath.Join(p.dir, "data", "cluster.key"),
			"--" + s.name + ".rpc-listen", "unix:" + filepath.Join(dir, name+".sock"), "--" + s.name + ".kitex-listen", "",
		}, nil, &logs, s)
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			p.t.Errorf("%s: %v\n%s", name, err, logs.String())
		}
	})
	p.t.Cleanup(stop)
	return stop
}

// tally counts who answered.
type tally struct {
	mu      sync.Mutex
	changed *sync.Cond
	answers map[string]int
	failed  []error
}

func (c *tally) add(name string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.failed = append(c.failed, err)
	} else {
		c.answers[name]++
	}
	c.changed.Broadcast()
}

// await waits until somebody of this name has answered.
func (c *tally) await(ctx context.Context, t *testing.T, name string) {
	t.Helper()
	defer context.AfterFunc(ctx, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.changed.Broadcast()
	})()
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.answers[name] == 0 && ctx.Err() == nil {
		c.changed.Wait()
	}
	if c.answers[name] == 0 {
		t.Fatalf("%s never answered; %v did; failures: %v", name, c.answers, c.failed)
	}
}

// caller asks the gateway's instances all the time, without a second try.
func (c *tally) caller(ctx context.Context, host *lifecycle.Host) error {
	host.Ready()
	client, base := host.HTTPClient("gateway")
	ask := func() (string, error) {
		request, err := http.NewRequestWithContext(context.WithoutCancel(ctx), http.MethodPost, base+"/who", http.NoBody)
		if err != nil {
			return "", err
		}
		response, err := client.Do(request)
		if err != nil {
			return "", err
		}
		body, err := io.ReadAll(response.Body)
		if response.StatusCode != http.StatusOK {
			err = errors.Join(err, errors.New(response.Status))
		}
		return string(body), errors.Join(err, response.Body.Close())
	}
	var workers sync.WaitGroup
	for range 4 {
		workers.Go(func() {
			tick := time.NewTicker(time.Millisecond)
			defer tick.Stop()
			known := false
			for {
				select {
				case <-ctx.Done():
					return
				case <-tick.C:
				}
				name, err := ask()
				known = known || err == nil
				if known { // before, none was started yet
					c.add(name, err)
				}
			}
		})
	}
	workers.Wait()
	return nil
}

func greeter(name string) *part {
	return &part{name: "gateway", run: func(ctx context.Context, host *lifecycle.Host) error {
		host.HandleHTTP("/who", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, name) }))
		host.Ready()
		<-ctx.Done()
		return nil
	}}
}

func TestNoCallFailsWhileInstancesAreRestartedOneAfterTheOther(t *testing.T) {
	dir, err := os.MkdirTemp("", "rolling") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	p := run(t, t.TempDir())
	calls := &tally{answers: map[string]int{}}
	calls.changed = sync.NewCond(&calls.mu)
	stops := map[string]func(){}
	for _, name := range []string{"a", "b"} {
		stops[name] = p.beside(dir, name, greeter(name+"0"))
	}
	stopCaller := p.beside(dir, "caller", &part{name: "rules", run: calls.caller})
	calls.await(ctx, t, "a0")
	calls.await(ctx, t, "b0")
	for round := 1; round <= 2; round++ {
		for _, name := range []string{"a", "b"} {
			stops[name]()
			next := fmt.Sprint(name, round)
			stops[name] = p.beside(dir, name, greeter(next))
			calls.await(ctx, t, next)
		}
	}
	stopCaller()
	if len(calls.failed) > 0 {
		t.Errorf("%d calls failed, the first with: %v; answers: %v", len(calls.failed), calls.failed[0], calls.answers)
	}
}
