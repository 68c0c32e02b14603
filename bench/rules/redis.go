package rules

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	socket "net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/backlot-video/backlot/bench/internal/measure"
)

const (
	redisPipeline = 16 // events in flight, of four keys each
	redisKeys     = 20_000
	redisRounds   = 3
	redisEvents   = 8_000
)

// redis is a server of its own on a unix socket, and a client with a pipeline.
type redis struct {
	command *exec.Cmd
	dir     string
	version string
	conn    socket.Conn
	out     *bufio.Writer
	in      *bufio.Reader
}

// startRedis starts redis-server without persistence.
func startRedis() (*redis, error) {
	path, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, errors.New("redis-server is not installed")
	}
	version, err := exec.CommandContext(context.Background(), path, "--version").Output()
	if err != nil {
		return nil, err
	}
	r := &redis{version: "redis"}
	for field := range strings.FieldsSeq(string(version)) {
		if number, ok := strings.CutPrefix(field, "v="); ok {
			r.version = "redis v" + number
		}
	}
	if r.dir, err = os.MkdirTemp("", "bench-redis-"); err != nil {
		return nil, err
	}
	address := filepath.Join(r.dir, "redis.sock")
	r.command = exec.CommandContext(context.Background(), path, "--port", "0", "--unixsocket", address, "--dir", r.dir,
		"--save", "", "--appendonly", "no", "--daemonize", "no")
	if err := r.command.Start(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(r.dir))
	}
	for deadline := time.Now().Add(10 * time.Second); ; {
		if r.conn, err = (&socket.Dialer{}).DialContext(context.Background(), "unix", address); err == nil {
			break
		}
		if time.Now().After(deadline) {
			return nil, errors.Join(err, r.close())
		}
	}
	r.out, r.in = bufio.NewWriterSize(r.conn, 1<<16), bufio.NewReaderSize(r.conn, 1<<16)
	return r, nil
}

func (r *redis) close() error {
	if r.conn != nil {
		_ = r.conn.Close()
	}
	err := r.command.Process.Kill()
	_ = r.command.Wait() // it was killed
	return errors.Join(err, os.RemoveAll(r.dir))
}

// cpu is what the server has used, in the kernel's ticks of 10 ms.
func (r *redis) cpu() (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", r.command.Process.Pid))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(fields) < 13 {
		return 0, errors.New("the server's CPU time cannot be read")
	}
	user, err := strconv.ParseInt(fields[11], 10, 64)
	system, fault := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * 10 * time.Millisecond, errors.Join(err, fault)
}

// send writes a command.
func (r *redis) send(words ...string) {
	_, _ = fmt.Fprintf(r.out, "*%d\r\n", len(words)) // errors show at Flush
	for _, word := range words {
		_, _ = r.out.WriteString("$" + strconv.Itoa(len(word)) + "\r\n" + word + "\r\n")
	}
}

// reply reads the elements of an array of strings; of a number, none.
func (r *redis) reply() (elements []string, err error) {
	line, err := r.in.ReadString('\n')
	if err != nil {
		return nil, err
	}
	line = strings.TrimSuffix(line, "\r\n")
	if line[0] == '-' {
		return nil, errors.New(line[1:])
	}
	number, err := strconv.ParseInt(line[1:], 10, 64)
	if err != nil || line[0] != '*' {
		return nil, err
	}
	for range number {
		header, err := r.in.ReadString('\n')
		if err != nil {
			return nil, err
		}
		text, err := r.in.ReadString('\n')
		if err != nil || header[0] != '$' {
			return nil, errors.Join(err, errors.New("no string in an array"))
		}
		elements = append(elements, strings.TrimSuffix(text, "\r\n"))
	}
	return elements, nil
}

// ask sends what an event needs: it goes into the key's sorted set by time,
// what is too old goes out, and what the longest window has is read: counts and
// sums of all three follow from it.
func (r *redis) ask(key string, at, amount int64, number int) {
	time := strconv.FormatInt(at, 10)
	low := strconv.FormatInt(lowOf(at, velocityWindows[2]), 10)
	r.send("ZADD", key, time, time+":"+strconv.FormatInt(amount, 10)+":"+strconv.Itoa(number))
	r.send("ZREMRANGEBYSCORE", key, "-inf", "("+low)
	r.send("ZRANGEBYSCORE", key, low, time)
}

// lowOf is the first second of a window of 60 steps.
func lowOf(at, window int64) int64 { return (at/(window/60) - 59) * (window / 60) }

// answer reads the totals of an event.
func (r *redis) answer(at int64) (t totals, err error) {
	for range 2 {
		if _, err := r.reply(); err != nil {
			return t, err
		}
	}
	members, err := r.reply()
	if err != nil {
		return t, err
	}
	for _, member := range members {
		time, rest, _ := strings.Cut(member, ":")
		value, _, _ := strings.Cut(rest, ":")
		when, err := strconv.ParseInt(time, 10, 64)
		amount, fault := strconv.ParseInt(value, 10, 64)
		if err := errors.Join(err, fault); err != nil {
			return t, err
		}
		for i, window := range velocityWindows {
			if when >= lowOf(at, window) {
				t[2*i]++
				t[2*i+1] += amount
			}
		}
	}
	return t, nil
}

// count sends events through the pipeline, and compares with other counters
// where these are given.
func (r *redis) count(traffic *traffic, events int, with counting) error {
	for begin := 0; begin < events; begin += redisPipeline {
		var times [redisPipeline]int64
		var expected [redisPipeline][len(velocityBy)]totals
		for i := range redisPipeline {
			e := traffic.next()
			for _, key := range e.keys {
				r.ask(key, e.at, e.amount, begin+i)
			}
			times[i] = e.at
			if with != nil {
				expected[i] = with.add(e)
			}
		}
		if err := r.out.Flush(); err != nil {
			return err
		}
		for i := range redisPipeline {
			for k := range velocityBy {
				got, err := r.answer(times[i])
				if err != nil {
					return err
				}
				if with != nil && got != expected[i][k] {
					return fmt.Errorf("redis: event %d: %v, want %v", begin+i, got, expected[i][k])
				}
			}
		}
	}
	return nil
}

// redisRate is how many million keys of events a second of CPU time, of client and
// server together, Redis counts and reads.
func redisRate() (name string, rate float64, err error) {
	r, err := startRedis()
	if err != nil {
		return "", 0, err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	traffic := newTraffic(redisKeys)
	if err := r.count(traffic, (velocityFill+1)*redisKeys/len(velocityBy), newOurCounting(false)); err != nil {
		return "", 0, err
	}
	for range redisRounds {
		server, err := r.cpu()
		if err != nil {
			return "", 0, err
		}
		own := measure.CPU()
		if err := r.count(traffic, redisEvents, nil); err != nil {
			return "", 0, err
		}
		after, err := r.cpu()
		if err != nil {
			return "", 0, err
		}
		spent := measure.CPU() - own + after - server
		rate = max(rate, float64(redisEvents*len(velocityBy))/(spent.Seconds()*1e6))
	}
	return r.version + ", sorted sets, pipeline of 64, client and server", rate, nil
}
