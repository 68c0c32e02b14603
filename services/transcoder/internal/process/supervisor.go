package process

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Command is a child to run.
type Command struct {
	Path string // executable
	Args []string
	Dir  string // working directory; the current one if empty

	// Stdout takes the child's standard output. With Progress set it must be
	// nil: standard output then carries `-progress pipe:1`.
	Stdout   io.Writer
	Progress func(Progress)

	// Stall is how long the output may stand still before the child is
	// stopped. It needs Progress. Zero: no limit.
	Stall time.Duration
	// Grace is the time between the request to end and SIGKILL. Zero: 5 s.
	Grace time.Duration
	// Nice lowers the priority of the child (0 to 19), where the system can.
	Nice int
}

// Result is what a child that ended left.
type Result struct {
	End      End
	ExitCode int            // -1 if a signal ended it
	Signal   syscall.Signal // 0 if it exited
	Stderr   string         // its last 8 KiB
	CPU      time.Duration  // user and system time
	Wall     time.Duration
}

const (
	stderrTail   = 8 << 10
	defaultGrace = 5 * time.Second
	// pipeDelay bounds the wait for a pipe that a grandchild keeps open.
	pipeDelay = 2 * time.Second
)

// Supervisor starts children and answers for their end. Make one for each
// process with New and Close it last.
type Supervisor struct {
	log     *slog.Logger
	records records
	starter *starter
}

// New makes a supervisor that notes its children in dir, which it creates,
// after it killed those that an earlier process noted there and left running.
// One dir must not be shared by two live processes.
func New(dir string, log *slog.Logger) (*Supervisor, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make folder for process records: %w", err)
	}
	s := &Supervisor{log: log, records: records{dir: dir}}
	killed, err := s.records.sweep()
	if err != nil {
		return nil, fmt.Errorf("sweep orphans: %w", err)
	}
	for _, r := range killed {
		log.Warn("killed an orphan of an earlier process", "pid", r.PID, "tool", r.Tool)
	}
	s.starter = newStarter()
	return s, nil
}

// Close ends the thread that children are tied to: on Linux, children that
// still run are killed. Run must not be called afterwards.
func (s *Supervisor) Close() { s.starter.close() }

// Run runs c to its end and returns how it ended. The error is nil only if the
// child succeeded; else it is an *Error. The end of ctx ends the child: its
// cause (ErrCancelled, ErrShutdown, context.DeadlineExceeded) becomes the End.
func (s *Supervisor) Run(ctx context.Context, c Command) (Result, error) {
	if ctx.Err() != nil {
		return s.fail(c, Result{End: intent(context.Cause(ctx))}, context.Cause(ctx))
	}
	progressed := make(chan struct{}, 1)
	errTail := &tail{max: stderrTail}
	cmd := s.command(c, errTail, progressed)
	started := time.Now()
	g, err := s.starter.start(cmd)
	if err != nil {
		return s.fail(c, Result{End: NotStarted}, err)
	}
	forget, err := s.records.note(cmd.Process.Pid, filepath.Base(c.Path))
	if err != nil {
		s.log.Warn("child is not on record", "err", err, "tool", c.Path)
	}
	lowerPriority(cmd.Process.Pid, c.Nice)
	wanted, cause := s.watch(ctx, c, g, progressed)
	g.kill() // what the child itself left running
	waitErr := cmd.Wait()
	g.close()
	forget()

	result := Result{Stderr: errTail.String(), Wall: time.Since(started), ExitCode: -1}
	if cmd.ProcessState == nil {
		return s.fail(c, Result{End: Failed}, waitErr)
	}
	result.ExitCode, result.Signal = exitStatus(cmd.ProcessState)
	result.CPU = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	result.End = classify(wanted, 0, result.ExitCode, result.Signal)
	if result.End == Succeeded {
		return result, nil
	}
	return s.fail(c, result, cause)
}

func (s *Supervisor) command(c Command, stderr io.Writer, progressed chan<- struct{}) *exec.Cmd {
	// watch ends it: a context's end would kill only the child, and at once.
	cmd := exec.Command(c.Path, c.Args...) //nolint:noctx,nolintlint // see above
	cmd.Dir = c.Dir
	cmd.Env = environment(os.Environ())
	cmd.Stdout = c.Stdout
	cmd.Stderr = stderr
	cmd.WaitDelay = pipeDelay
	cmd.SysProcAttr = attributes()
	if c.Progress != nil {
		cmd.Stdout = &progressReader{report: advances(c.Progress, progressed)}
	}
	return cmd
}

// advances passes reports on and tells of each that shows more output than
// those before.
func advances(report func(Progress), progressed chan<- struct{}) func(Progress) {
	var most Progress
	return func(p Progress) {
		report(p)
		if p.Frame <= most.Frame && p.OutTime <= most.OutTime && p.TotalSize <= most.TotalSize && !p.Last {
			return
		}
		most = Progress{Frame: max(p.Frame, most.Frame), OutTime: max(p.OutTime, most.OutTime), TotalSize: max(p.TotalSize, most.TotalSize)}
		select {
		case progressed <- struct{}{}:
		default:
		}
	}
}

// watch returns when the child has ended but is not reaped yet, so that its
// id and its group's still belong to it. It returns the end that we asked
// for, Succeeded if none, and why.
func (s *Supervisor) watch(ctx context.Context, c Command, g *group, progressed <-chan struct{}) (End, error) {
	exited := make(chan struct{})
	go func() {
		defer close(exited)
		g.awaitExit()
	}()
	stalled, stopStall := timer(c.Stall)
	defer func() { stopStall() }()
	done := ctx.Done()
	var (
		wanted End
		cause  error
		kill   <-chan time.Time
	)
	stop := func(end End, why error) {
		wanted, cause, done, stalled = end, why, nil, nil
		g.terminate()
		grace := c.Grace
		if grace == 0 {
			grace = defaultGrace
		}
		kill = time.After(grace)
	}
	for {
		select {
		case <-exited:
			return wanted, cause
		case <-done:
			cause := context.Cause(ctx)
			stop(intent(cause), cause)
		case <-stalled:
			stop(Stalled, fmt.Errorf("no progress for %s", c.Stall))
		case <-progressed:
			if stalled != nil {
				stopStall()
				stalled, stopStall = timer(c.Stall)
			}
		case <-kill:
			kill = nil
			g.kill()
		}
	}
}

func (s *Supervisor) fail(c Command, r Result, cause error) (Result, error) {
	return r, &Error{Tool: filepath.Base(c.Path), Result: r, Cause: cause}
}

// timer returns a channel that never delivers for d = 0.
func timer(d time.Duration) (<-chan time.Time, func()) {
	if d <= 0 {
		return nil, func() {}
	}
	t := time.NewTimer(d)
	return t.C, func() { t.Stop() }
}

// kept are the environment variables that a child may see: ours may hold
// secrets, and a child parses hostile input.
var kept = []string{
	"PATH", "HOME", "TMPDIR", "TEMP", "TMP", "SystemRoot", "LANG", "LC_ALL",
	"LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "DYLD_FALLBACK_LIBRARY_PATH",
}

func environment(all []string) []string {
	env := []string{"AV_LOG_FORCE_NOCOLOR=1"}
	for _, entry := range all {
		name, _, _ := strings.Cut(entry, "=")
		for _, k := range kept {
			if strings.EqualFold(name, k) {
				env = append(env, entry)
			}
		}
	}
	return env
}
