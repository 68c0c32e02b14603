package accesslog

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/backlot-video/backlot/services/gateway/internal/edge"
	"github.com/backlot-video/backlot/services/gateway/internal/exchange"
)

var began = time.Date(2026, 11, 25, 9, 5, 3, 4567000, time.FixedZone("x", 3600))

func sample() *exchange.Exchange {
	x := &exchange.Exchange{
		Began: began, ID: []byte("request-1"), From: netip.MustParseAddr("192.0.2.7"), Route: &edge.Route{Name: "shop", Path: "/"},
		Cluster: "shop", Upstream: "127.0.0.1:9000", Attempts: 2, Sent: 128, Received: 3,
	}
	x.Request.Method, x.AskedHost, x.AskedPath, x.Request.Path = []byte("GET"), []byte("shop.example"), []byte("/a\"b"), []byte("/rewritten")
	x.Request.Query, x.Request.HasQuery = []byte("token=secret"), true
	x.Request.Protocol = exchange.HTTP11
	x.Request.Fields.Add(exchange.UserAgent, []byte("user-agent"), []byte("me/1.0"))
	x.Response.Status = 200
	return x
}

func TestALineIsJSON(t *testing.T) {
	x := sample()
	line := appendLine(nil, x, began.Add(1500*time.Microsecond), new(atomic.Pointer[second]))
	want := `{"time":"2026-11-25T08:05:03.004567Z","id":"request-1","client":"192.0.2.7","method":"GET","host":"shop.example",` +
		`"path":"/a\"b","protocol":"HTTP/1.1","status":200,"route":"shop","cluster":"shop","upstream":"127.0.0.1:9000","attempts":2,` +
		`"received":3,"sent":128,"duration_us":1500,"agent":"me/1.0"}` + "\n"
	if string(line) != want {
		t.Errorf("got  %swant %s", line, want)
	}
	if err := json.Unmarshal(line, &map[string]any{}); err != nil {
		t.Error(err)
	}
}

func TestTimesFollowOneAnother(t *testing.T) {
	var last atomic.Pointer[second]
	for _, after := range []time.Duration{0, time.Microsecond, 999 * time.Millisecond, time.Hour, -time.Hour, 40 * 24 * time.Hour} {
		at := began.Add(after)
		want := at.UTC().Format("2006-01-02T15:04:05.000000Z")
		if got := string(appendTime(nil, at, &last)); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestGrantsOfMediaAreNotWritten(t *testing.T) {
	x := sample()
	x.Route = &edge.Route{Name: "media", Path: "/media/", Target: edge.ToMedia}
	for path, want := range map[string]string{
		"/media/GRANT/720p/1.m4s": `"path":"/media/-/720p/1.m4s"`, "/media/GRANT": `"path":"/media/-/"`, "/media/": `"path":"/media/-/"`,
	} {
		x.Request.Path, x.AskedPath = []byte(path), []byte("/GRANT/../"+path)
		line := string(appendLine(nil, x, began, new(atomic.Pointer[second])))
		if !strings.Contains(line, want) || strings.Contains(line, "GRANT") || !json.Valid([]byte(line)) {
			t.Errorf("%s: %s", path, line)
		}
	}
}

func FuzzLine(f *testing.F) {
	f.Add([]byte("/a\x00\xff"), []byte(`"`), "r\\")
	f.Fuzz(func(t *testing.T, path, agent []byte, route string) {
		x := sample()
		x.AskedPath, x.Route.Name = path, route
		x.Request.Fields[0].Value = agent
		line := appendLine(nil, x, began, new(atomic.Pointer[second]))
		if !json.Valid(line) || bytes.IndexByte(line, '\n') != len(line)-1 {
			t.Errorf("not one line of JSON: %q", line)
		}
	})
}

func open(t *testing.T, config Config) (*Log, string) {
	t.Helper()
	if config.Path == "" {
		config.Path = filepath.Join(t.TempDir(), "access.log")
	}
	config.Log, config.Registerer = slog.New(slog.DiscardHandler), prometheus.NewRegistry()
	l, err := Open(config)
	if err != nil {
		t.Fatal(err)
	}
	return l, config.Path
}

func read(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func TestLinesAreGatheredAndWritten(t *testing.T) {
	l, path := open(t, Config{})
	synctest.Test(t, func(t *testing.T) {
		l.wake, l.hurry = make(chan struct{}, 1), make(chan struct{}, 1)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- l.run(ctx, nil) }()
		for range 3 {
			l.Append(sample(), began)
		}
		synctest.Wait()
		if text := read(t, path); text != "" {
			t.Errorf("written without waiting for others: %s", text)
		}
		time.Sleep(gatherTime)
		synctest.Wait()
		if n := strings.Count(read(t, path), "\n"); n != 3 {
			t.Errorf("%d lines after the time to gather", n)
		}
		l.Append(sample(), began)
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if n := strings.Count(read(t, path), "\n"); n != 4 {
			t.Errorf("%d lines at the end, want 4", n)
		}
	})
	if n := testutil.ToFloat64(l.lines); n != 4 {
		t.Errorf("%v lines are counted", n)
	}
}

func TestWhatFindsNoRoomIsCounted(t *testing.T) {
	l, path := open(t, Config{Buffer: 1000})
	for range 10 {
		l.Append(sample(), began)
	}
	if err := l.write(); err != nil {
		t.Fatal(err)
	}
	lines := strings.Count(read(t, path), "\n")
	if lines == 0 || lines+int(testutil.ToFloat64(l.dropped)) != 10 {
		t.Errorf("%d lines and %v dropped, want 10 in all", lines, testutil.ToFloat64(l.dropped))
	}
}

func TestFilesMoveOnBySize(t *testing.T) {
	l, path := open(t, Config{MaxBytes: 700, Keep: 2})
	for range 9 {
		l.Append(sample(), began)
		if err := l.write(); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{path, path + ".1", path + ".2"} {
		if text := read(t, name); text == "" || len(text) > 700 || !strings.HasSuffix(text, "}\n") {
			t.Errorf("%s has %d bytes", name, len(text))
		}
	}
	if _, err := os.Stat(path + ".3"); err == nil {
		t.Error("more files are kept than two")
	}
}

func TestAFileThatWasMovedAwayIsOpenedAgain(t *testing.T) {
	l, path := open(t, Config{})
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	hangup := make(chan os.Signal)
	go func() { done <- l.run(ctx, hangup) }()
	l.Append(sample(), began)
	await(t, func() bool { return strings.Count(read(t, path), "\n") == 1 })
	if err := os.Rename(path, path+".old"); err != nil {
		t.Fatal(err)
	}
	hangup <- syscall.SIGHUP
	await(t, func() bool { _, err := os.Stat(path); return err == nil })
	l.Append(sample(), began)
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if strings.Count(read(t, path), "\n") != 1 || strings.Count(read(t, path+".old"), "\n") != 1 {
		t.Errorf("the old file has %q, the new one %q", read(t, path+".old"), read(t, path))
	}
}

func await(t *testing.T, holds func() bool) {
	t.Helper()
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for deadline := time.Now().Add(20 * time.Second); !holds(); <-ticker.C {
		if time.Now().After(deadline) {
			t.Fatal("it did not happen in 20 s")
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	l := &Log{config: Config{Buffer: 1 << 20}, wake: make(chan struct{}, 1), hurry: make(chan struct{}, 1), lines: prometheus.NewCounter(prometheus.CounterOpts{})}
	x := sample()
	b.ReportAllocs()
	for b.Loop() {
		l.Append(x, began)
		if len(l.waiting) > 1<<19 {
			l.waiting = l.waiting[:0]
		}
	}
}
