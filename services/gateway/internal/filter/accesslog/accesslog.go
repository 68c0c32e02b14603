// Package accesslog writes a line of JSON for each exchange, without ever
// keeping one waiting: lines are encoded where the exchange ends, gathered in
// a bounded buffer, and written by one goroutine. What finds no room is
// counted and lost.
//
//	accesslog.go  Log: the buffer and who writes it out
//	line.go       one exchange as a line
//	file.go       the file, and how it makes way for the next
//
// Queries, the subjects of callers, tokens and what media addresses grant are
// not written.
package accesslog

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/backlot-video/backlot/services/gateway/internal/exchange"
)

// Config says where lines go.
type Config struct {
	// Path of the file; `-` is standard output.
	Path string
	// MaxBytes of a file before the next begins; 0: no end.
	MaxBytes int64
	// Keep is how many files are kept beside the current one, as Path.1 and so
	// on; 0: 5. Where somebody else moves the file away, SIGHUP opens a new one.
	Keep int
	// Buffer is how many bytes may wait to be written; 0: 1 MiB.
	Buffer     int
	Log        *slog.Logger
	Registerer prometheus.Registerer
}

const (
	defaultBuffer = 1 << 20
	defaultKeep   = 5
	// gatherTime is how long lines wait for others, so that many are written
	// at once.
	gatherTime = 50 * time.Millisecond
	// complainTime is between two complaints about lines that cannot be written.
	complainTime = time.Minute
)

// Log is the access log. Append may be called by anybody, Run by one.
type Log struct {
	config  Config
	file    *file
	wake    chan struct{} // something waits, where nothing did
	hurry   chan struct{} // half of the buffer waits
	lines   prometheus.Counter
	dropped prometheus.Counter
	second  atomic.Pointer[second]

	mu      sync.Mutex
	waiting []byte
	count   int // lines in waiting
	spare   []byte
}

// Open opens the file.
func Open(config Config) (*Log, error) {
	if config.Buffer == 0 {
		config.Buffer = defaultBuffer
	}
	if config.Keep == 0 {
		config.Keep = defaultKeep
	}
	opened, err := openFile(config.Path, config.MaxBytes, config.Keep)
	if err != nil {
		return nil, err
	}
	l := &Log{
		config: config, file: opened, wake: make(chan struct{}, 1), hurry: make(chan struct{}, 1),
		lines: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "backlot_gateway_access_log_lines_total", Help: "Lines written to the access log.",
		}),
		dropped: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "backlot_gateway_access_log_dropped_total", Help: "Lines of the access log that found no room or could not be written.",
		}),
	}
	config.Registerer.MustRegister(l.lines, l.dropped)
	return l, nil
}

// Append adds the line of an exchange that ended at a time. It does not wait
// for the file.
func (l *Log) Append(x *exchange.Exchange, end time.Time) {
	var room [1 << 10]byte
	line := appendLine(room[:0], x, end, &l.second)
	l.mu.Lock()
	before := len(l.waiting)
	if before+len(line) > l.config.Buffer {
		l.mu.Unlock()
		l.dropped.Inc()
		return
	}
	l.waiting = append(l.waiting, line...)
	l.count++
	after := len(l.waiting)
	l.mu.Unlock()
	if before == 0 {
		signalTo(l.wake)
	}
	if half := l.config.Buffer / 2; before < half && after >= half {
		signalTo(l.hurry)
	}
}

func signalTo(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // is told already
	}
}

// Run writes lines until ctx ends and then what is left. SIGHUP makes it open
// the file again.
func (l *Log) Run(ctx context.Context) error {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	return l.run(ctx, hangup)
}

func (l *Log) run(ctx context.Context, hangup <-chan os.Signal) error {
	var complained time.Time
	for {
		select {
		case <-ctx.Done():
			l.complain(l.write(), &complained)
			return l.file.Close()
		case <-hangup:
			l.complain(l.file.reopen(), &complained)
		case <-l.wake:
			l.gather(ctx)
			l.complain(l.write(), &complained)
		}
	}
}

// gather lets some lines come together.
func (l *Log) gather(ctx context.Context) {
	timer := time.NewTimer(gatherTime)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-l.hurry:
	case <-ctx.Done():
	}
}

// write writes what waits.
func (l *Log) write() error {
	l.mu.Lock()
	lines, count := l.waiting, l.count
	l.waiting, l.count = l.spare[:0], 0
	l.mu.Unlock()
	// One that tells of lines now written has nothing more to say.
	select {
	case <-l.hurry:
	default:
	}
	l.spare = lines
	if len(lines) == 0 {
		return nil
	}
	if err := l.file.append(lines); err != nil {
		l.dropped.Add(float64(count))
		return err
	}
	l.lines.Add(float64(count))
	return nil
}

func (l *Log) complain(err error, last *time.Time) {
	if err == nil || time.Since(*last) < complainTime {
		return
	}
	*last = time.Now()
	l.config.Log.Error("access log cannot be written", "err", err)
}
