package pressure

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/backlot-video/backlot/bench/internal/measure"
)

// use is how much of the machine's processors somebody has, and for how long.
type use struct {
	server, callers, others float64 // shares of all processors
	seconds                 float64
}

// add weighs by time.
func (u *use) add(other use) {
	total := u.seconds + other.seconds
	mean := func(a, b float64) float64 { return (a*u.seconds + b*other.seconds) / total }
	u.server, u.callers, u.others = mean(u.server, other.server), mean(u.callers, other.callers), mean(u.others, other.others)
	u.seconds = total
}

// tick is the unit of /proc's times.
const tick = 10 * time.Millisecond

// using begins to measure, and returns what ends it. What cannot be read is 0.
func (s *server) using() func() use {
	begun, own := time.Now(), measure.CPU()
	server, _ := s.cpu()
	busy, all, _ := machine()
	return func() use {
		ownNow := measure.CPU()
		serverNow, _ := s.cpu()
		busyNow, allNow, err := machine()
		if err != nil || allNow == all {
			return use{seconds: time.Since(begun).Seconds()}
		}
		share := func(d time.Duration) float64 { return float64(d) / float64(allNow-all) }
		u := use{server: share(serverNow - server), callers: share(ownNow - own), seconds: time.Since(begun).Seconds()}
		u.others = max(0, share(busyNow-busy)-u.server-u.callers)
		return u
	}
}

// machine is the time that processors have been busy, and all of their time.
func machine() (busy, all time.Duration, err error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, 0, err
	}
	line, _, _ := strings.Cut(string(text), "\n")
	times, err := ticks(strings.Fields(line)[1:9])
	if err != nil {
		return 0, 0, err
	}
	for i, t := range times {
		all += t
		if i != 3 && i != 4 { // idle, and idle while a disk is not
			busy += t
		}
	}
	return busy, all, nil
}

// cpu is the processor time of the process.
func (s *server) cpu() (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(fields) < 13 {
		return 0, errors.New("/proc: too few fields")
	}
	times, err := ticks(fields[11:13])
	if err != nil {
		return 0, err
	}
	return times[0] + times[1], nil
}

func ticks(fields []string) ([]time.Duration, error) {
	times := make([]time.Duration, len(fields))
	for i, field := range fields {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return nil, err
		}
		times[i] = time.Duration(n) * tick
	}
	return times, nil
}

// rss is the memory that the process has, in bytes.
func (s *server) rss() (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if kilobytes, found := strings.CutPrefix(line, "VmRSS:"); found {
			n, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(kilobytes), "kB")), 10, 64)
			return n << 10, err
		}
	}
	return 0, errors.New("/proc: no VmRSS")
}
