package gate_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/backlot-video/backlot/e2e/internal/gate"
)

// TestASuccessorThatFailsChangesNothing: a signal, where the binary has been
// replaced by what cannot be run, by what ends at once, by one that takes
// the sockets and fails then, and by one that does nothing at all. The old process goes on, and once the binary is
// good again a signal replaces it.
func TestASuccessorThatFailsChangesNothing(t *testing.T) {
	g := gate.New(t, objects(gate.NewBackend(t, "a", "")), "--takeover-timeout", "5s")
	program := filepath.Join(t.TempDir(), "gateway")
	put := func(binary []byte) { // at once, as the old one is being run
		t.Helper()
		if err := os.WriteFile(program+".new", binary, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(program+".new", program); err != nil {
			t.Fatal(err)
		}
	}
	good, err := os.ReadFile(g.Program())
	if err != nil {
		t.Fatal(err)
	}
	put(good)
	first := g.Process
	p := g.StartProgram(program)
	<-first.Ended()

	stream := gate.NewWebSocket(t, g.Address)
	load := gate.NewLoad(t, g.Address, "/128", 4, time.Millisecond)
	for i, bad := range []struct{ binary, says string }{
		{"no program", `msg="successor cannot be started; this process goes on"`},
		{"#!/bin/sh\nexit 3\n", `err="exit status 3"`},
		{"#!/bin/sh\nexec " + g.Program() + " \"$@\" --gateway.tls-cert /nowhere --gateway.tls-key /nowhere\n", `msg="successor ended before it served; this process goes on"`},
		{"#!/bin/sh\nsleep 600\n", `msg="successor neither served nor ended and was killed; this process goes on"`},
	} {
		put([]byte(bad.binary))
		seen := len(p.Log())
		if err := syscall.Kill(p.PID(), syscall.SIGUSR2); err != nil {
			t.Fatal(err)
		}
		await(t, bad.says, func() bool { return strings.Contains(p.Log()[seen:], bad.says) })
		want := fmt.Sprintf("backlot_process_successor_failures_total %d\n", i+1)
		await(t, want, func() bool { return strings.Contains(metrics(t, g.Ops), want) })
		for asked := load.Requests.Load(); load.Requests.Load() < asked+200; {
			<-time.After(time.Millisecond)
		}
		if err := stream.Echo(); err != nil {
			t.Fatalf("a stream was cut: %v", err)
		}
	}
	stream.Close()

	put(good)
	if err := syscall.Kill(p.PID(), syscall.SIGUSR2); err != nil {
		t.Fatal(err)
	}
	<-p.Ended()
	log := p.Log()
	t.Cleanup(func() { endSuccessor(t, log[strings.LastIndex(log, `msg="successor started"`):], g.Address) })
	for asked := load.Requests.Load(); load.Requests.Load() < asked+200; {
		<-time.After(time.Millisecond)
	}
	if failures, err := load.Stop(); failures > 0 {
		t.Errorf("%d of %d requests failed, first: %v", failures, load.Requests.Load(), err)
	}
}

// await waits for something that takes a moment.
func await(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !done(); <-time.After(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within half a minute: %s", what)
		}
	}
}

// metrics are those of a process, empty where it does not answer.
func metrics(t *testing.T, ops string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+ops+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return ""
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return ""
	}
	return string(text)
}
