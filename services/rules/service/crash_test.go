package service

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/backlot-video/backlot/kit/lifecycle"
	rulesv1 "github.com/backlot-video/backlot/proto/gen/backlot/rules/v1"
	"github.com/backlot-video/backlot/proto/gen/backlot/rules/v1/rulesv1connect"
)

// TestMain lets the test binary also be the service that the crash test kills.
func TestMain(m *testing.M) {
	if dir := os.Getenv("BACKLOT_RULES_CRASH_DIR"); dir != "" {
		ctx, cancel := context.WithCancel(context.Background())
		go func() { // it ends with the test
			_, _ = io.Copy(io.Discard, os.Stdin)
			cancel()
		}()
		err := lifecycle.Run(ctx, "rules", alone(dir, "--rules.velocity-snapshot-interval", "1s"), nil, os.Stderr, New())
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// alone are the arguments of rules in a process of its own.
func alone(dir string, more ...string) []string {
	return append([]string{
		"--data-dir", filepath.Join(dir, "data"), "--rules.rpc-listen", "unix:" + filepath.Join(dir, "rpc.sock"),
		"--rules.kitex-listen", "", "--ops-listen", "", "--log-level", "warn",
	}, more...)
}

// caller calls the service that serves a folder.
func caller(dir string) rulesv1connect.RulesServiceClient {
	return rulesv1connect.NewRulesServiceClient(&http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(dir, "rpc.sock"))
		},
	}}, "http://rules", connect.WithInterceptors(signed(filepath.Join(dir, "data", "cluster.key"))))
}

const cardsOfCrash = 7

// victim is the service as a process.
type victim struct {
	dir    string
	client rulesv1connect.RulesServiceClient
	ended  chan error
	kill   func()
}

func startVictim(t *testing.T, dir string) *victim {
	t.Helper()
	command := exec.CommandContext(t.Context(), os.Args[0])
	command.Env = append(os.Environ(), "BACKLOT_RULES_CRASH_DIR="+dir)
	command.Stderr = t.Output()
	if _, err := command.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	v := &victim{dir: dir, client: caller(dir), ended: make(chan error, 1)}
	go func() { v.ended <- command.Wait() }()
	v.kill = sync.OnceFunc(func() {
		_ = command.Process.Signal(syscall.SIGKILL)
		<-v.ended
	})
	t.Cleanup(v.kill)
	return v
}

// count sends an event of a card and returns how many the card has.
func (v *victim) count(ctx context.Context, card int, event string) (int, error) {
	res, err := v.client.Evaluate(ctx, &rulesv1.EvaluateRequest{
		FactType: defaultRuleset().GetFactType(), EventId: event, Trace: true,
		Fact: &rulesv1.EvaluateRequest_Json{Json: fmt.Sprintf(`{"viewer_id": "v%d"}`, card)},
	})
	if err != nil {
		return 0, err
	}
	for _, step := range res.GetDecision().GetTrace() {
		if step.GetExpression() == "count(payment by viewer_id over 10m)" {
			return strconv.Atoi(step.GetValue())
		}
	}
	return 0, fmt.Errorf("no count in the trace %v", res.GetDecision().GetTrace())
}

// TestKilledProcessesLoseNoCountedEvent kills the service with SIGKILL in the
// middle of its work, again and again. What was answered is counted after the
// restart; what was not is sent again, and nothing is counted twice.
func TestKilledProcessesLoseNoCountedEvent(t *testing.T) {
	dir := t.TempDir()
	answered, sent := [cardsOfCrash]int{}, [cardsOfCrash]int{}
	var open []string // events without an answer
	for round := range 4 {
		v := startVictim(t, dir)
		waitServing(t, v)
		for _, event := range open {
			var card int
			if _, err := fmt.Sscanf(event, "%d/", &card); err != nil {
				t.Fatal(err)
			}
			if _, err := v.count(t.Context(), card, event); err != nil {
				t.Fatal(err)
			}
			answered[card]++
		}
		for card := range cardsOfCrash {
			// An event that was counted before reads, and counts no more.
			n, err := v.count(t.Context(), card, fmt.Sprintf("%d/first", card))
			if round == 0 {
				answered[card], sent[card] = 1, 1
			}
			if err != nil || n != sent[card] || n != answered[card] {
				t.Fatalf("round %d: card %d has %d, %v; answered %d, sent %d", round, card, n, err, answered[card], sent[card])
			}
		}
		open = work(t, v, round, &answered, &sent)
		if len(open) == 0 {
			t.Error("nothing was in flight when it was killed")
		}
	}
}

// work sends events until the service is killed, and returns those that were
// not answered.
func work(t *testing.T, v *victim, round int, answered, sent *[cardsOfCrash]int) (open []string) {
	t.Helper()
	var mu sync.Mutex
	var group sync.WaitGroup
	enough := make(chan struct{})
	var total int
	for worker := range 8 {
		group.Go(func() {
			for n := 0; ; n++ {
				card := (worker + n) % cardsOfCrash
				event := fmt.Sprintf("%d/%d/%d/%d", card, round, worker, n)
				mu.Lock()
				sent[card]++
				mu.Unlock()
				_, err := v.count(t.Context(), card, event)
				mu.Lock()
				if err != nil {
					open = append(open, event)
					mu.Unlock()
					return
				}
				answered[card]++
				if total++; total == 400+100*round {
					close(enough)
				}
				mu.Unlock()
			}
		})
	}
	<-enough
	v.kill()
	group.Wait()
	return open
}

func waitServing(t *testing.T, v *victim) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for {
		if _, err := v.client.ListRulesets(ctx, &rulesv1.ListRulesetsRequest{}); err == nil {
			return
		} else if ctx.Err() != nil {
			t.Fatalf("not served: %v", err)
		}
		select {
		case err := <-v.ended:
			v.ended <- err
			t.Fatalf("the service ended: %v", err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}
