package lifecycle_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/backlot-video/backlot/kit/config"
	"github.com/backlot-video/backlot/kit/identity"
	"github.com/backlot-video/backlot/kit/lifecycle"
	"github.com/backlot-video/backlot/kit/testcert"
	gatewayv1 "github.com/backlot-video/backlot/proto/gen/backlot/gateway/v1"
)

// part is a service that says what happens to it.
type part struct {
	name  string
	diary *diary
	run   func(ctx context.Context, host *lifecycle.Host) error
	limit int
}

type diary struct {
	mu    sync.Mutex
	lines []string
}

func (d *diary) add(line string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, line)
}

func (p *part) Name() string { return p.name }
func (p *part) RegisterFlags(set *config.Set) {
	set.Int(&p.limit, "limit", 1, "a number")
}

func (p *part) Validate() error {
	if p.limit < 1 {
		return fmt.Errorf("%s.limit: must be at least 1", p.name)
	}
	return nil
}

func (p *part) Run(ctx context.Context, host *lifecycle.Host) error {
	p.diary.add("start " + p.name)
	defer p.diary.add("stop " + p.name)
	if p.run != nil {
		return p.run(ctx, host)
	}
	host.Ready()
	<-ctx.Done()
	return nil
}

// status is a service to call; it answers who called.
type status struct{}

func (status) GetStatus(ctx context.Context, _ *gatewayv1.GetStatusRequest) (*gatewayv1.GetStatusResponse, error) {
	p, _ := identity.From(ctx)
	return &gatewayv1.GetStatusResponse{ReleaseId: p.Kind.String() + " " + p.ID}, nil
}

func run(ctx context.Context, t *testing.T, args []string, services ...lifecycle.Service) (logs string, err error) {
	t.Helper()
	var out lockedBuffer
	args = append([]string{"--ops-listen", "", "--data-dir", filepath.Join(t.TempDir(), "data")}, args...)
	err = lifecycle.Run(ctx, "test", args, nil, &out, services...)
	return out.String(), err
}

type lockedBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

func TestServicesStartInOrderCallEachOtherAndStopInReverse(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	d := &diary{}
	served := &part{name: "gateway", diary: d, run: func(ctx context.Context, host *lifecycle.Host) error {
		host.Handle(gatewayv1.GatewayServiceDesc, status{})
		host.Ready()
		<-ctx.Done()
		return nil
	}}
	calling := &part{name: "rules", diary: d, run: func(ctx context.Context, host *lifecycle.Host) error {
		defer stop()
		response, err := gatewayv1.NewGatewayServiceClient(host.Dial("gateway")).GetStatus(ctx, &gatewayv1.GetStatusRequest{})
		if err != nil {
			return err
		}
		d.add("called as " + response.GetReleaseId())
		host.Ready()
		stop()
		<-ctx.Done()
		return nil
	}}
	if logs, err := run(ctx, t, nil, served, calling); err != nil {
		t.Fatalf("%v\n%s", err, logs)
	}
	want := "start gateway, start rules, called as PRINCIPAL_SERVICE rules, stop rules, stop gateway"
	if got := strings.Join(d.lines, ", "); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestAFailingServiceStopsTheProcessWithItsError(t *testing.T) {
	d := &diary{}
	broken := errors.New("broken")
	failing := &part{name: "rules", diary: d, run: func(_ context.Context, host *lifecycle.Host) error {
		host.Ready()
		return broken
	}}
	_, err := run(t.Context(), t, nil, &part{name: "gateway", diary: d}, failing)
	if !errors.Is(err, broken) || !strings.Contains(err.Error(), "rules: ") {
		t.Errorf("err = %v", err)
	}
	if last := d.lines[len(d.lines)-1]; last != "stop gateway" {
		t.Errorf("the other service was not stopped: %v", d.lines)
	}
}

func TestAWorkersErrorStopsItsService(t *testing.T) {
	broken := errors.New("broken")
	_, err := run(t.Context(), t, nil, &part{name: "rules", diary: &diary{}, run: func(ctx context.Context, host *lifecycle.Host) error {
		host.Go("sweeper", func(context.Context) error { return broken })
		host.Ready()
		<-ctx.Done()
		return nil
	}})
	if !errors.Is(err, broken) || !strings.Contains(err.Error(), "rules: sweeper: ") {
		t.Errorf("err = %v", err)
	}
}

func TestFaultsOfSettingsAreReportedTogether(t *testing.T) {
	d := &diary{}
	_, err := run(t.Context(), t, []string{"--rules.limit=0", "--gateway.limit=0", "--trace-ratio=7"},
		&part{name: "rules", diary: d}, &part{name: "gateway", diary: d})
	for _, want := range []string{"rules.limit", "gateway.limit", "trace-ratio"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("err %v lacks %s", err, want)
		}
	}
	if len(d.lines) > 0 {
		t.Errorf("something started: %v", d.lines)
	}
}

func TestOffLoopbackNeedsTLS(t *testing.T) {
	_, err := run(t.Context(), t, []string{"--rules.rpc-listen=0.0.0.0:0"}, &part{name: "rules", diary: &diary{}})
	if err == nil || !strings.Contains(err.Error(), "--tls-cert") {
		t.Errorf("err = %v", err)
	}
}

func TestEveryAddressNeedsOneToAdvertise(t *testing.T) {
	_, err := run(t.Context(), t, []string{"--rules.rpc-listen=:0", "--insecure-plaintext"}, &part{name: "rules", diary: &diary{}})
	if err == nil || !strings.Contains(err.Error(), "--advertise-host") {
		t.Errorf("err = %v", err)
	}
}

func TestAServiceThatListensOnEveryAddressReachesItselfByTLS(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	authority, certificate, key := testcert.New().Leaf("127.0.0.1").Files(t)
	args := []string{
		"--tls-ca=" + authority, "--tls-cert=" + certificate, "--tls-key=" + key,
		"--rules.rpc-listen=0.0.0.0:0", "--rules.kitex-listen=", "--advertise-host=127.0.0.1",
	}
	_, err := run(ctx, t, args, &part{name: "rules", diary: &diary{}, run: func(ctx context.Context, host *lifecycle.Host) error {
		defer stop()
		host.HandleHTTP("/self", http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		host.Ready()
		client, base := host.HTTPClient("rules")
		for {
			request, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/self", nil)
			if err != nil {
				return err
			}
			response, err := client.Do(request)
			switch {
			case err == nil:
				err = response.Body.Close()
				stop()
				<-ctx.Done()
				return err
			case !strings.Contains(err.Error(), "no endpoint"): // known a moment after Ready
				return err
			}
			runtime.Gosched()
		}
	}})
	if err != nil {
		t.Error(err)
	}
}

func TestABusyPortNamesPortAndFlag(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	address := taken.Addr().String()
	_, err = run(t.Context(), t, []string{"--rules.rpc-listen=" + address}, &part{name: "rules", diary: &diary{}})
	if err == nil || !strings.Contains(err.Error(), address) || !strings.Contains(err.Error(), "--rules.rpc-listen") {
		t.Errorf("err = %v", err)
	}
}

func TestTheDataFolderIsGuarded(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	newer := filepath.Join(dir, "newer")
	if err := errors.Join(os.WriteFile(file, nil, 0o600), os.Mkdir(newer, 0o700),
		os.WriteFile(filepath.Join(newer, "VERSION"), []byte("99\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{filepath.Join(file, "data"): "--data-dir", newer: "version 99"} {
		_, err := run(t.Context(), t, []string{"--data-dir", path}, &part{name: "rules", diary: &diary{}})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: err = %v", path, err)
		}
	}
}

func TestTwoProcessesDoNotShareAFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	_, err := run(t.Context(), t, []string{"--data-dir", dir}, &part{name: "rules", diary: &diary{}, run: func(ctx context.Context, host *lifecycle.Host) error {
		host.Ready()
		_, err := run(ctx, t, []string{"--data-dir", dir, "--rules.rpc-listen=127.0.0.1:0", "--rules.kitex-listen="}, &part{name: "rules", diary: &diary{}})
		return fmt.Errorf("second: %w", err)
	}})
	if err == nil || !strings.Contains(err.Error(), "second: ") || !strings.Contains(err.Error(), "another process uses") {
		t.Errorf("err = %v", err)
	}
}

func TestSocketsFitEvenUnderALongPath(t *testing.T) {
	long := filepath.Join(t.TempDir(), strings.Repeat("long", 40), "data")
	ctx, stop := context.WithCancel(t.Context())
	_, err := run(ctx, t, []string{"--data-dir", long}, &part{name: "gateway", diary: &diary{}}, &part{name: "rules", diary: &diary{}, run: func(ctx context.Context, host *lifecycle.Host) error {
		host.Ready()
		stop()
		<-ctx.Done()
		return nil
	}})
	if err != nil {
		t.Error(err)
	}
}
