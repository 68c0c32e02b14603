package journey

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	tracecollectorv1 "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/backlot-video/backlot/e2e/internal/client"
	"github.com/backlot-video/backlot/e2e/internal/cluster"
	storefrontv1 "github.com/backlot-video/backlot/proto/gen/backlot/storefront/v1"
)

// What Backlot promises. Others use the machine too, so the best of some runs
// counts, and of time half as much again is let pass.
const (
	idleMemory   = 150 << 20
	allReady     = 1500 * time.Millisecond
	oneReady     = 300 * time.Millisecond
	measurements = 5
	noise        = 1.5
)

func late(ready, promised time.Duration) bool { return float64(ready) > noise*float64(promised) }

func TestOutsideStartAndMemoryStayInBounds(t *testing.T) {
	node := cluster.NewNode(t, cluster.Plain)
	node.Binary = installed(t, node.Binary)
	node.Up().Stop()
	best, memory := time.Hour, int64(1)<<62
	for range measurements {
		p := node.Start(nil, nil)
		ready, err := p.WaitReady(node.Ops)
		if err != nil {
			t.Fatal(err)
		}
		best, memory = min(best, ready), min(memory, resident(t, p.PID()))
		p.Stop()
		if best < allReady && memory < idleMemory {
			break
		}
	}
	t.Logf("all-in-one: ready after %v, %d MB resident when idle", best.Round(time.Millisecond), memory>>20)
	if late(best, allReady) || memory > idleMemory {
		t.Errorf("want ready within %v, at most %d MB", allReady, idleMemory>>20)
	}
}

// installed copies a program piece by piece, as installing does. A file that was
// written as one, as by the linker, is in the cache in large pieces, and a process
// is counted some 25 MB of it that it has not touched.
func installed(t *testing.T, binary string) string {
	t.Helper()
	from, err := os.Open(binary)
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	to, err := os.OpenFile(filepath.Join(t.TempDir(), filepath.Base(binary)), os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.Copy(struct{ io.Writer }{to}, struct{ io.Reader }{from})
	if err = errors.Join(err, to.Close()); err != nil {
		t.Fatal(err)
	}
	return to.Name()
}

func TestOutsideAServiceAloneStartsQuickly(t *testing.T) {
	split := newSplit(t)
	split.Up(nil)
	for _, service := range slices.Backward(cluster.Services) {
		best := time.Hour
		for range measurements {
			split.Processes[service].Stop()
			split.Run(service, nil)
			ready, err := split.Processes[service].WaitReady(split.OpsOf[service])
			if err != nil {
				t.Fatal(err)
			}
			if best = min(best, ready); best < oneReady {
				break
			}
		}
		t.Logf("%s: ready after %v, %d MB resident", service, best.Round(time.Millisecond), resident(t, split.Processes[service].PID())>>20)
		if late(best, oneReady) {
			t.Errorf("%s was ready after %v, want %v", service, best, oneReady)
		}
	}
	for service, ops := range split.OpsOf {
		for path, want := range map[string]string{
			"/metrics": "backlot_", "/healthz": "alive", "/readyz": `"ready"`,
		} {
			if status, text := get(t, "http://"+ops+path); status != http.StatusOK || !strings.Contains(text, want) {
				t.Errorf("%s of %s gave %d without %q", path, service, status, want)
			}
		}
	}
}

// newSplit runs each service by its own binary, configured by flags.
func newSplit(t *testing.T) *cluster.Split {
	t.Helper()
	split := cluster.NewSplit(t, cluster.Plain)
	split.Command = func(service string) (string, []string) {
		if service == "mq" {
			return split.Binary, []string{"mq"}
		}
		return cluster.Build(t, cluster.Plain, "services/"+service+"/cmd/"+service), nil
	}
	split.Express = func(_ string, settings cluster.Settings) (args, environ []string) { return settings.Flags() }
	return split
}

// One purchase is one trace, from the gateway to the last service.
func TestOutsideATraceGoesFromTheGatewayToTheLastService(t *testing.T) {
	collector := newCollector(t)
	split := newSplit(t)
	split.Up(cluster.Settings{"otlp-endpoint": collector.url, "trace-ratio": "0"})
	if _, err := split.Demo(t.Context(), demoTime, "--catalogue", "0"); err != nil {
		t.Fatalf("%v\n%s", err, split.Logs())
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	viewer, err := client.SignUp(ctx, split.URL(), storefrontv1.Role_ROLE_VIEWER)
	if err != nil {
		t.Fatal(err)
	}
	videos, err := viewer.Catalogue.ListVideos(ctx, &storefrontv1.ListVideosRequest{})
	if err != nil {
		t.Fatal(err)
	}
	trace := client.Random() + client.Random()
	body := fmt.Sprintf(`{"videoId":%q,"idempotencyKey":"traced"}`, videos.GetVideos()[0].GetId())
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, split.URL()+"/backlot.storefront.v1.OrderService/CreateOrder", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Traceparent", "00-"+trace+"-"+client.Random()+"-01")
	response, err := viewer.HTTP.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	answer, _ := io.ReadAll(response.Body)
	_ = response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Fatalf("order: %s %s", response.Status, answer)
	}
	split.Stop() // exports what is queued
	want := []string{"coordinator", "gateway", "rules", "settlement", "storefront"}
	if got := collector.programs(trace); !slices.Equal(got, want) {
		t.Errorf("the trace went through %q, want %q; all: %v", got, want, collector.traces())
	}
}

// collector is an OTLP endpoint that notes which program saw which trace.
type collector struct {
	url string

	mu   sync.Mutex
	seen map[string]map[string]bool // programs by trace id
}

func newCollector(t *testing.T) *collector {
	t.Helper()
	c := &collector{seen: map[string]map[string]bool{}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		content, err := io.ReadAll(io.LimitReader(r.Body, 16<<20))
		export := &tracecollectorv1.ExportTraceServiceRequest{}
		if err != nil || r.URL.Path != "/v1/traces" || proto.Unmarshal(content, export) != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		c.note(export)
		w.Header().Set("Content-Type", "application/x-protobuf")
	}))
	t.Cleanup(server.Close)
	c.url = server.URL + "/v1/traces"
	return c
}

func (c *collector) note(export *tracecollectorv1.ExportTraceServiceRequest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, resource := range export.GetResourceSpans() {
		program := ""
		for _, attribute := range resource.GetResource().GetAttributes() {
			if attribute.GetKey() == "service.name" {
				program = attribute.GetValue().GetStringValue()
			}
		}
		for _, scope := range resource.GetScopeSpans() {
			for _, span := range scope.GetSpans() {
				trace := hex.EncodeToString(span.GetTraceId())
				if c.seen[trace] == nil {
					c.seen[trace] = map[string]bool{}
				}
				c.seen[trace][program] = true
			}
		}
	}
}

func (c *collector) programs(trace string) (programs []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for program := range c.seen[trace] {
		programs = append(programs, program)
	}
	slices.Sort(programs)
	return programs
}

func (c *collector) traces() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.seen)
}

// resident is a process's memory in bytes.
func resident(t *testing.T, pid int) int64 {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	number, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
	kilobytes, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return kilobytes << 10
}

func get(t *testing.T, address string) (status int, text string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(content)
}
