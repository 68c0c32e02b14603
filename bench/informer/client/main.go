// Command client follows the Pods of an API server in one of the ways that
// this benchmark compares, and reports what that took it:
//
//	main.go    the two phases: until synced, and events
//	ours.go    kit/informer: whole Pods, Pods with a mask, a projection
//	peer.go    client-go
//	read.go    nothing but reading, which is the least that any way takes
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"runtime"
	"sync"
	"time"

	"github.com/backlot-video/backlot/bench/informer/report"
	"github.com/backlot-video/backlot/bench/internal/measure"
)

// follow follows Pods. told is called with each change that a handler is told
// of, by its revision; the initial objects are those up to the list's.
type follow func(server string, told func(revision int64)) error

func main() {
	way := flag.String("way", "", "one of ways")
	server := flag.String("server", "", "URL of the API server")
	count := flag.Int("pods", 5000, "Pods that the server has")
	changes := flag.Int("changes", 5000, "changes that it publishes")
	flag.Parse()
	if err := run(*way, *server, *count, *changes); err != nil {
		fmt.Fprintln(os.Stderr, "client:", err)
		os.Exit(1)
	}
}

func run(way, server string, count, changes int) error {
	start, found := ways[way]
	if !found {
		return fmt.Errorf("there is no way %q", way)
	}
	c := newCounter(count, changes)
	runtime.GC()
	before := usage()
	if err := start(server, c.told); err != nil {
		return err
	}
	<-c.synced
	synced := usage()
	runtime.GC()
	held := usage()
	encoder := json.NewEncoder(os.Stdout)
	if err := encoder.Encode(report.Sync{
		Allocated: synced.allocated - before.allocated, CPU: synced.cpu - before.cpu, Wall: synced.at.Sub(before.at),
		Live: held.live - before.live,
	}); err != nil {
		return err
	}
	if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
		return err
	}
	before = usage()
	if err := encoder.Encode("ready"); err != nil {
		return err
	}
	select {
	case <-c.done:
	case <-time.After(time.Minute):
		return fmt.Errorf("not all changes arrived within a minute")
	}
	after := usage()
	return encoder.Encode(report.Events{
		Received: c.received, CPU: after.cpu - before.cpu, Allocated: after.allocated - before.allocated,
	})
}

type used struct {
	allocated, live int64
	cpu             time.Duration
	at              time.Time
}

func usage() used {
	u := used{cpu: measure.CPU(), at: time.Now()}
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	u.allocated, u.live = int64(memory.TotalAlloc), int64(memory.HeapAlloc)
	return u
}

// counter notes when changes are told of.
type counter struct {
	count    int
	synced   chan struct{}
	done     chan struct{}
	mu       sync.Mutex
	initial  int
	left     int
	received []int64 // Unix nanoseconds, by change
}

func newCounter(count, changes int) *counter {
	return &counter{count: count, left: changes, received: make([]int64, changes), synced: make(chan struct{}), done: make(chan struct{})}
}

func (c *counter) told(revision int64) {
	now := time.Now().UnixNano()
	c.mu.Lock()
	defer c.mu.Unlock()
	if revision <= int64(c.count) {
		if c.initial++; c.initial == c.count {
			close(c.synced)
		}
		return
	}
	if at := &c.received[revision-int64(c.count)-1]; *at == 0 {
		*at = now
		if c.left--; c.left == 0 {
			close(c.done)
		}
	}
}
