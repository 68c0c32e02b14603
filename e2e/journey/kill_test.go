package journey

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/backlot-video/backlot/e2e/internal/cluster"
)

// pointsTime bounds the journeys that are killed at every point.
const pointsTime = 8 * time.Minute

// TestJourneySurvivesKillAtEveryPoint arms all crash points at once: Backlot
// dies at the first that it reaches and is started again without that one,
// while the journey is repeated until it comes through.
func TestJourneySurvivesKillAtEveryPoint(t *testing.T) {
	node := cluster.NewNode(t, cluster.Crash)
	points := crashPoints(t, node.Binary)
	ctx, cancel := context.WithTimeout(t.Context(), pointsTime)
	defer cancel()
	began := time.Now()

	left := dieAt(ctx, t, node, points, nil, func(ctx context.Context) error { return round(ctx, node, 2) })
	// Some points are reached only where a participant's answers are lost,
	// others where a transaction is given up for that.
	lossy := newLossy(t, node)
	args := []string{"--coordinator.participants", "settlement=" + lossy.address, "--coordinator.try-timeout", "1s"}
	left = dieAt(ctx, t, node, left, args, lossy.round)
	left = dieAt(ctx, t, node, left, append(args, "--coordinator.attempts", "1"), lossy.round)
	for _, name := range left {
		t.Errorf("crash point %s was never reached", name)
	}
	up := node.Up()
	if err := round(ctx, node, 1); err != nil {
		t.Errorf("the journey after all kills: %v\n%s", err, up.Tail())
	}
	verify(t, node, up.PID())
	up.Stop()
	t.Logf("%d points, each killed at once, in %v", len(points)-len(left), time.Since(began).Round(time.Second))
}

// crashPoints asks a binary for the names of its crash points.
func crashPoints(t *testing.T, binary string) []string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), binary, "crashpoints").Output()
	points := strings.Fields(string(out))
	if err != nil || len(points) == 0 {
		t.Fatalf("the binary lists no crash points: %v", err)
	}
	return points
}

// dieAt repeats the journey until it comes through without a death, and
// returns the points that were not reached.
func dieAt(ctx context.Context, t *testing.T, node *cluster.Node, points, args []string, journey func(context.Context) error) (left []string) {
	t.Helper()
	armed := slices.Clone(points)
	supervisor := supervise(t, node, args, func(p *cluster.Process) error {
		<-p.Ended()
		_, rest, died := strings.Cut(p.Log(), "crashpoint: died at ")
		name, _, _ := strings.Cut(rest, "\n")
		at := slices.Index(armed, name)
		if !died || at < 0 {
			return fmt.Errorf("it ended by itself:\n%s", p.Tail())
		}
		armed = slices.Delete(armed, at, at+1)
		return nil
	}, func() []string { return []string{"BACKLOT_CRASH_AT=" + strings.Join(armed, ",")} })
	supervisor.journeys(ctx, journey)
	return armed
}

// TestJourneySurvivesKillsAtRandomTimes kills at times that BACKLOT_SEED
// repeats as well as times can be.
func TestJourneySurvivesKillsAtRandomTimes(t *testing.T) {
	seed, kills := uint64(number(t, "BACKLOT_SEED", int(time.Now().UnixNano()&0x7fffffff))), number(t, "BACKLOT_KILLS", 20)
	t.Logf("BACKLOT_SEED=%d BACKLOT_KILLS=%d", seed, kills)
	random := rand.New(rand.NewPCG(seed, 0))
	node := cluster.NewNode(t, cluster.Crash)
	ctx, cancel := context.WithTimeout(t.Context(), pointsTime)
	defer cancel()
	began := time.Now()
	killed := 0
	done := make(chan struct{})
	supervisor := supervise(t, node, nil, func(p *cluster.Process) error {
		if killed == kills {
			<-p.Ended()
			return fmt.Errorf("it ended by itself:\n%s", p.Tail())
		}
		delay := time.Duration(random.Int64N(int64(3 * time.Second)))
		if inStart := random.IntN(4) == 0; inStart {
			delay /= 3
		} else if _, err := p.WaitReady(node.Ops); err != nil {
			return err
		}
		timer := time.NewTimer(delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-p.Ended():
			return fmt.Errorf("it ended by itself:\n%s", p.Tail())
		}
		p.Kill()
		if killed++; killed == kills {
			close(done)
		}
		return nil
	}, nil)
	for i := 1; ; i++ {
		_ = supervisor.try(ctx, func(ctx context.Context) error { return round(ctx, node, i%7+1) })
		select {
		case <-done:
		case <-supervisor.failed:
		case <-ctx.Done():
		default:
			continue
		}
		break
	}
	supervisor.journeys(ctx, func(ctx context.Context) error { return round(ctx, node, 2) })
	up := node.Up()
	verify(t, node, up.PID())
	up.Stop()
	t.Logf("%d kills in %v", killed, time.Since(began).Round(time.Second))
}

// number reads a whole number from the environment.
func number(t *testing.T, name string, initial int) int {
	t.Helper()
	text, given := os.LookupEnv(name)
	if !given {
		return initial
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		t.Fatalf("%s=%s is no whole number", name, text)
	}
	return n
}

// supervisor starts Backlot again whenever it died.
type supervisor struct {
	t      *testing.T
	node   *cluster.Node
	failed chan struct{} // closed when Backlot ended otherwise than by a kill
	ended  sync.WaitGroup

	mu      sync.Mutex
	process *cluster.Process
	deaths  int
	stopped bool
}

// supervise starts Backlot. outlive returns when a process was killed, with an
// error where it ended otherwise; environ is asked for at each start.
func supervise(t *testing.T, node *cluster.Node, args []string, outlive func(*cluster.Process) error, environ func() []string) *supervisor {
	s := &supervisor{t: t, node: node, failed: make(chan struct{})}
	t.Cleanup(s.stop)
	s.ended.Go(func() {
		for {
			p := s.next(args, environ)
			if p == nil {
				return
			}
			err := outlive(p)
			s.mu.Lock()
			s.deaths++
			stopped := s.stopped
			s.mu.Unlock()
			if stopped {
				return
			}
			if err != nil {
				t.Error(err)
				close(s.failed)
				return
			}
		}
	})
	return s
}

func (s *supervisor) next(args []string, environ func() []string) *cluster.Process {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return nil
	}
	var env []string
	if environ != nil {
		env = environ()
	}
	s.process = s.node.Start(args, env)
	return s.process
}

// stop ends the last process, gracefully.
func (s *supervisor) stop() {
	s.mu.Lock()
	stopped, process := s.stopped, s.process
	s.stopped = true
	s.mu.Unlock()
	if !stopped && process != nil {
		process.Terminate()
	}
	s.ended.Wait()
}

// journeys repeats a journey until it comes through without a death, and
// stops.
func (s *supervisor) journeys(ctx context.Context, journey func(context.Context) error) {
	s.t.Helper()
	defer s.stop()
	for {
		before := s.count()
		err := s.try(ctx, journey)
		select {
		case <-s.failed:
			return
		default:
		}
		if err == nil && s.count() == before {
			return
		}
		if ctx.Err() != nil {
			s.t.Errorf("the journey did not come through: %v\n%s", err, s.current().Tail())
			return
		}
	}
}

// try makes a journey once, when Backlot is ready.
func (s *supervisor) try(ctx context.Context, journey func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-s.failed:
			cancel()
		case <-ctx.Done():
		}
	}()
	process := s.current()
	if _, err := process.WaitReady(s.node.Ops); err != nil {
		return err
	}
	err := journey(ctx)
	select {
	case <-process.Ended():
	default:
		if err != nil {
			s.t.Logf("a journey failed, it may be just before a death: %v", err)
		}
	}
	return err
}

// current is the newest process.
func (s *supervisor) current() *cluster.Process {
	for {
		s.mu.Lock()
		process := s.process
		s.mu.Unlock()
		if process != nil {
			return process
		}
		runtime.Gosched()
	}
}

func (s *supervisor) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.deaths
}
