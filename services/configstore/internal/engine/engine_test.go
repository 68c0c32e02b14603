package engine_test

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/backlot-video/backlot/services/configstore/internal/engine"
)

func start(t *testing.T, dir string, log *slog.Logger) *engine.Engine {
	t.Helper()
	e, err := engine.Start(t.Context(), engine.Config{DataDir: dir, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// beyondSlowness leaves out what etcd says when the machine is busy.
func beyondSlowness(said string) string {
	var lines []string
	for line := range strings.Lines(said) {
		if !strings.Contains(line, "took too long") && !strings.Contains(line, "slow fdatasync") {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "")
}

func put(t *testing.T, e *engine.Engine, key, value string) int64 {
	t.Helper()
	response, err := e.Txn(t.Context(), &pb.TxnRequest{Success: []*pb.RequestOp{{
		Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: []byte(key), Value: []byte(value)}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	return response.GetHeader().GetRevision()
}

func TestDataOutlivesARestartAndStartIsQuickAndQuiet(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "etcd")
	var said bytes.Buffer
	log := slog.New(slog.NewTextHandler(&said, nil))
	const starts = 4
	quickest := time.Hour
	for n := range starts {
		begin := time.Now()
		e := start(t, dir, log)
		took := time.Since(begin)
		quickest = min(quickest, took)
		t.Logf("start %d took %v", n, took)
		if n > 0 {
			found, err := e.Range(t.Context(), &pb.RangeRequest{Key: []byte("/a")})
			if err != nil || len(found.GetKvs()) != 1 || found.GetKvs()[0].GetVersion() != int64(n) {
				t.Errorf("start %d: found %v, %v", n, found, err)
			}
		}
		put(t, e, "/a", "b")
		e.Close()
	}
	// An election takes a second or two where the member waits for it.
	if quickest > 900*time.Millisecond {
		t.Errorf("quickest of %d starts took %v", starts, quickest)
	}
	if lines := beyondSlowness(said.String()); lines != "" {
		t.Errorf("said:\n%s", lines)
	}
}

// A member that stops while it still sets itself up has nothing to warn of.
func TestStopAtOnceIsQuiet(t *testing.T) {
	var said bytes.Buffer
	log := slog.New(slog.NewTextHandler(&said, nil))
	for range 10 {
		start(t, filepath.Join(t.TempDir(), "etcd"), log).Close()
	}
	if lines := beyondSlowness(said.String()); lines != "" {
		t.Errorf("said:\n%s", lines)
	}
}

// A restart applies the log of the run before while the member stands for
// election.
func TestRestartsWithALongLog(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "etcd")
	for n := range 12 {
		e := start(t, dir, nil)
		for range 40 {
			put(t, e, "/a", strconv.Itoa(n))
		}
		e.Close()
	}
}

func TestSeveralEnginesRunSideBySide(t *testing.T) {
	for range 3 {
		e := start(t, filepath.Join(t.TempDir(), "etcd"), nil)
		t.Cleanup(e.Close)
		if revision := put(t, e, "/a", "b"); revision != 2 {
			t.Errorf("revision %d: engines share data", revision)
		}
	}
}

func TestWatchGivesWholeRevisionsInOrder(t *testing.T) {
	e := start(t, filepath.Join(t.TempDir(), "etcd"), nil)
	t.Cleanup(e.Close)
	first := put(t, e, "/a/1", "x")
	put(t, e, "/b/1", "x")
	stream, err := e.Watch(t.Context(), "/a/", first)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	last := put(t, e, "/a/2", "x")
	var seen []int64
	for len(seen) < 2 {
		for _, event := range (<-stream.Chan()).Events {
			seen = append(seen, event.GetKv().GetModRevision())
		}
	}
	if seen[0] != first || seen[1] != last {
		t.Errorf("saw %v, want %d and %d", seen, first, last)
	}
}

func TestLeaseOfUnknownIDIsDead(t *testing.T) {
	e := start(t, filepath.Join(t.TempDir(), "etcd"), nil)
	t.Cleanup(e.Close)
	lease, err := e.Grant(t.Context(), 60)
	if err != nil {
		t.Fatal(err)
	}
	if alive, err := e.Renew(t.Context(), lease); err != nil || !alive {
		t.Errorf("granted lease: %v, %v", alive, err)
	}
	for range 2 {
		if err := e.Revoke(t.Context(), lease); err != nil {
			t.Error(err)
		}
	}
	if alive, err := e.Renew(t.Context(), lease); err != nil || alive {
		t.Errorf("revoked lease: %v, %v", alive, err)
	}
}

func TestFailedStartSaysWhere(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := engine.Start(t.Context(), engine.Config{DataDir: file}); err == nil {
		t.Error("started in a file")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := engine.Start(ctx, engine.Config{DataDir: filepath.Join(t.TempDir(), "etcd")}); err == nil {
		t.Error("started after its context ended")
	}
}
