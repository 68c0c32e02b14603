//go:build linux

// Command load asks a proxy for the same thing over kept connections in a
// closed loop, compares every byte of every answer, and tells what that took
// the proxy.
//
//	main.go   settings, the measured window, the result
//	http1.go  plain HTTP/1.1 by epoll, one thread
//	answer.go one answer, checked as it comes
//	tls.go    HTTP/1.1 over TLS, a goroutine for each connection
//	http2.go  HTTP/2 over TLS, frames by x/net
//	idle.go   connections that only stay
//
// The processes whose processor time counts are named by -watch; it is read at
// both ends of the window, from /proc.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/backlot-video/backlot/bench/internal/process"
)

// settings say what to do.
type settings struct {
	address     string
	mode        string
	path        string
	size        int
	connections int
	streams     int
	header      string
	warm, lasts time.Duration
	watch       []int
}

// Result is printed as JSON.
type Result struct {
	Requests int     `json:"requests"`
	Seconds  float64 `json:"seconds"`
	CPU      float64 `json:"cpu"` // seconds of the watched processes
	P50      float64 `json:"p50_us"`
	P99      float64 `json:"p99_us"`
}

func main() {
	s, watch := &settings{}, ""
	flag.StringVar(&s.address, "address", "", "`address` of the proxy")
	flag.StringVar(&s.mode, "mode", "http1", "http1, tls, http2 or idle")
	flag.IntVar(&s.size, "size", 128, "`bytes` of each answer")
	flag.StringVar(&s.path, "path", "", "`path`; empty: the size")
	flag.IntVar(&s.connections, "connections", 64, "`connections`")
	flag.IntVar(&s.streams, "streams", 8, "requests at once on a connection of HTTP/2")
	flag.StringVar(&s.header, "header", "", "a further `line` of each request's header")
	flag.DurationVar(&s.warm, "warm", 300*time.Millisecond, "`time` before the window")
	flag.DurationVar(&s.lasts, "for", 2*time.Second, "`length` of the window")
	flag.StringVar(&watch, "watch", "", "`ids` of the proxy's processes, a comma between")
	flag.Parse()
	for id := range strings.SplitSeq(watch, ",") {
		if n, err := strconv.Atoi(id); err == nil {
			s.watch = append(s.watch, n)
		}
	}
	if s.path == "" {
		s.path = "/" + strconv.Itoa(s.size)
	}
	if err := run(s); err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

func run(s *settings) error {
	modes := map[string]func(*settings) (*Result, error){"http1": http1, "tls": overTLS, "http2": http2Load, "idle": idle}
	mode, found := modes[s.mode]
	if !found {
		return fmt.Errorf("mode %q is not known", s.mode)
	}
	result, err := mode(s)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(result)
}

// request is the head that every request is.
func (s *settings) request() []byte {
	head := fmt.Sprintf("GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: backlot-bench\r\nAccept: */*\r\n", s.path, s.address)
	if s.header != "" {
		head += s.header + "\r\n"
	}
	return []byte(head + "\r\n")
}

// window takes time between two moments, of which it makes a Result.
type window struct {
	settings  *settings
	from, end time.Time
	cpu       time.Duration
	open      bool
	latencies []uint32 // us
}

func newWindow(s *settings) *window {
	from := time.Now().Add(s.warm)
	return &window{settings: s, from: from, end: from.Add(s.lasts), latencies: make([]uint32, 0, 1<<20)}
}

// done counts an answer. It tells whether the window has closed.
func (w *window) done(asked, now time.Time) (closed bool, err error) {
	if !w.open {
		if now.Before(w.from) {
			return false, nil
		}
		w.open, w.from = true, now
		w.cpu, err = process.CPU(w.settings.watch...)
		return false, err
	}
	w.latencies = append(w.latencies, uint32(now.Sub(asked).Microseconds()))
	return !now.Before(w.end), nil
}

var errNothing = errors.New("no answer came within the window")

func (w *window) result() (*Result, error) {
	took := time.Since(w.from)
	after, err := process.CPU(w.settings.watch...)
	if err != nil {
		return nil, err
	}
	if len(w.latencies) == 0 {
		return nil, errNothing
	}
	slices.Sort(w.latencies)
	at := func(q float64) float64 { return float64(w.latencies[int(q*float64(len(w.latencies)-1))]) }
	return &Result{
		Requests: len(w.latencies), Seconds: took.Seconds(), CPU: (after - w.cpu).Seconds(), P50: at(0.5), P99: at(0.99),
	}, nil
}
