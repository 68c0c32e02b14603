package process

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
)

// Causes to cancel a run's context with; they become the End of the run.
var (
	ErrCancelled = errors.New("cancelled by request")
	ErrShutdown  = errors.New("service is stopping")
)

// End is how a run ended.
type End int

// The ends. Intent wins over what the exit looked like, as cancel, deadline,
// stall and the kernel's memory killer all look like SIGKILL afterwards.
const (
	Succeeded End = iota
	Cancelled
	Deadline
	Stalled
	Shutdown
	OutOfMemory
	Crashed     // SEGV, ABRT, BUS, ILL, FPE: the input is suspect
	Killed      // another signal that nobody here sent
	Undecodable // FFmpeg's exit code 69: too many decode errors
	Failed      // another exit code
	NotStarted
)

var endNames = [...]string{"succeeded", "cancelled", "deadline", "stalled", "shutdown", "out_of_memory", "crashed", "killed", "undecodable", "failed", "not_started"}

func (e End) String() string {
	if e < 0 || int(e) >= len(endNames) {
		return fmt.Sprintf("end(%d)", int(e))
	}
	return endNames[e]
}

// Error is a run that did not succeed.
type Error struct {
	Tool   string // base name of the executable
	Result Result
	Cause  error // the context's cause or the error of the start, if any
}

func (e *Error) Error() string {
	text := fmt.Sprintf("%s %s", e.Tool, e.Result.End)
	switch {
	case e.Cause != nil:
		text += ": " + e.Cause.Error()
	case e.Result.Signal != 0:
		text += fmt.Sprintf(" by signal %d (%s)", int(e.Result.Signal), e.Result.Signal)
	case e.Result.End == Failed:
		text += fmt.Sprintf(" with exit code %d", e.Result.ExitCode)
	}
	if line := LastLine(e.Result.Stderr); line != "" {
		text += ": " + line
	}
	return text
}

func (e *Error) Unwrap() error { return e.Cause }

// EndOf returns the end that err carries, Failed for a foreign error and
// Succeeded for nil.
func EndOf(err error) End {
	var e *Error
	switch {
	case err == nil:
		return Succeeded
	case errors.As(err, &e):
		return e.Result.End
	}
	return Failed
}

// LastLine returns the last line of text that is not blank.
func LastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.TrimSpace(lines[len(lines)-1])
}

// intent translates the cause of a context's end.
func intent(cause error) End {
	switch {
	case errors.Is(cause, ErrCancelled):
		return Cancelled
	case errors.Is(cause, context.DeadlineExceeded):
		return Deadline
	}
	return Shutdown
}

// classify decides how a child ended: what we wanted first, then the memory
// killer's count, then the signal, then the exit code.
func classify(wanted End, oomKills uint64, exitCode int, signal syscall.Signal) End {
	switch {
	case wanted != Succeeded:
		return wanted
	case oomKills > 0:
		return OutOfMemory
	}
	switch signal {
	case 0:
	case syscall.SIGSEGV, syscall.SIGABRT, syscall.SIGBUS, syscall.SIGILL, syscall.SIGFPE:
		return Crashed
	default:
		return Killed
	}
	switch exitCode {
	case 0:
		return Succeeded
	case 69:
		return Undecodable
	case 255:
		return Killed // FFmpeg caught a signal that nobody here sent
	}
	return Failed
}
