//go:build conformance

package gate_test

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/backlot-video/backlot/e2e/internal/cluster"
	"github.com/backlot-video/backlot/e2e/internal/gate"
	"github.com/backlot-video/backlot/kit/testport"
)

// proxied is a proxy before a backend of its own.
type proxied struct {
	name, address string
	backend       *gate.Backend
}

// proxies are ours, then nginx and HAProxy, where they are installed.
func proxies(t *testing.T) []proxied {
	t.Helper()
	ours := gate.NewBackend(t, "ours", "")
	all := []proxied{{"gateway", gate.New(t, objects(ours)).Address, ours}}
	dir := t.TempDir()
	for name, settings := range map[string]string{
		"nginx": "daemon off; pid %[3]s/nginx.pid; error_log /dev/null; events {} http { access_log off; client_body_temp_path %[3]s/b; " +
			"proxy_temp_path %[3]s/p; fastcgi_temp_path %[3]s/f; uwsgi_temp_path %[3]s/u; scgi_temp_path %[3]s/s; upstream u { server %[2]s; keepalive 8; } " +
			"server { listen %[1]s; location / { proxy_pass http://u; proxy_http_version 1.1; proxy_set_header Connection \"\"; } } }\n",
		"haproxy": "defaults\n mode http\n timeout connect 5s\n timeout client 20s\n timeout server 20s\n http-reuse always\n" +
			"frontend in\n bind %[1]s\n default_backend out\nbackend out\n server one %[2]s\n",
	} {
		program, err := exec.LookPath(name)
		if err != nil {
			t.Logf("SKIPPED: no %s to compare with", name)
			continue
		}
		backend, address, file := gate.NewBackend(t, name, ""), testport.Address(t), filepath.Join(dir, name)
		if err := os.WriteFile(file, fmt.Appendf(nil, settings, address, backend.Address, dir), 0o600); err != nil {
			t.Fatal(err)
		}
		args := map[string][]string{"nginx": {"-c", file, "-p", dir, "-e", "/dev/null"}, "haproxy": {"-db", "-q", "-f", file}}[name]
		p := cluster.Start(t, program, args, nil)
		t.Cleanup(p.Terminate) // nginx ends its workers itself
		awaitAddress(t, address)
		all = append(all, proxied{name, address, backend})
	}
	return all
}

// probe is one request of Http11Probe with what is expected of it.
type probe struct {
	id      string
	payload string
	least   int // status; 0: any answer but what its own code judges
	most    int
	closing bool // a closed connection does too
	judged  bool // by least, most and closing
}

var (
	probeID      = regexp.MustCompile(`Id = "([^"]+)"`)
	probePayload = regexp.MustCompile(`(?s)PayloadFactory = ctx => MakeRequest\(\s*((?:\$?"(?:[^"\\]|\\.)*"\s*\+?\s*)+)\)`)
	probeText    = regexp.MustCompile(`\$?"((?:[^"\\]|\\.)*)"`)
	probeStatus  = regexp.MustCompile(`ExpectedStatus = StatusCodeRange\.(Exact\((\d+)\)|Range\w+)`)
)

// probes reads those of its C# sources whose payload is plain text.
func probes(t *testing.T, dir string) (found []probe) {
	t.Helper()
	suites, err := filepath.Glob(filepath.Join(dir, "src/Http11Probe/TestCases/Suites/*.cs"))
	if err != nil || len(suites) == 0 {
		t.Fatalf("no suites in %s: %v", dir, err)
	}
	for _, file := range suites {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, block := range strings.Split(string(text), "yield return new TestCase\n")[1:] {
			id, payload := probeID.FindStringSubmatch(block), probePayload.FindStringSubmatch(block)
			if id == nil || payload == nil {
				continue
			}
			p := probe{id: id[1]}
			whole := true
			for _, part := range probeText.FindAllStringSubmatch(payload[1], -1) {
				decoded, err := strconv.Unquote(`"` + strings.NewReplacer(`\0`, `\x00`, "{{", "{", "}}", "}").Replace(part[1]) + `"`)
				if err != nil {
					whole = false
				}
				p.payload += decoded
			}
			p.payload = strings.ReplaceAll(p.payload, "{ctx.HostHeader}", "localhost")
			if !whole || strings.Contains(p.payload, "{ctx") {
				continue
			}
			p.expect(block)
			found = append(found, p)
		}
	}
	return found
}

// expect reads a verdict that is plain.
func (p *probe) expect(block string) {
	status := probeStatus.FindStringSubmatch(block)
	if status == nil || strings.Contains(block, "CustomValidator") {
		return
	}
	p.judged, p.closing = true, strings.Contains(block, "AllowConnectionClose = true")
	switch status[1] {
	case "Range2xx":
		p.least, p.most = 200, 299
	case "Range4xx":
		p.least, p.most = 400, 499
	case "Range4xxOr5xx":
		p.least, p.most = 400, 599
	default:
		p.least, _ = strconv.Atoi(status[2])
		p.most = p.least
	}
}

// outcome is what a proxy did with a probe.
type outcome struct {
	status int // 0: no answer
	closed bool
	passed bool
	seen   int64 // requests that reached the backend
}

var statusLine = regexp.MustCompile(`^HTTP/1\.[01] (\d{3})`)

// ask sends a probe on a connection of its own.
func (p *probe) ask(address string) (o outcome, err error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return o, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(1500 * time.Millisecond)); err != nil {
		return o, err
	}
	_, _ = io.WriteString(conn, p.payload) // it may be refused in the middle
	answer, err := io.ReadAll(io.LimitReader(conn, 1<<20))
	o.closed = err == nil || !os.IsTimeout(err)
	if status := statusLine.FindSubmatch(answer); status != nil {
		o.status, _ = strconv.Atoi(string(status[1]))
	}
	if o.status == 0 {
		o.passed = p.closing
	} else {
		o.passed = p.least <= o.status && o.status <= p.most
	}
	return o, nil
}

// askAll asks every proxy, the gateway first. most is how many requests came
// of it at a peer, and at least the one that may have begun before its body
// turned out to be malformed.
func (p *probe) askAll(t *testing.T, all []proxied) (outcomes []outcome, most int64) {
	outcomes = make([]outcome, len(all))
	var asking sync.WaitGroup
	for i, proxy := range all {
		asking.Go(func() {
			before := quiet(&proxy.backend.Seen)
			o, err := p.ask(proxy.address)
			if err != nil {
				t.Error(err)
			}
			o.seen = quiet(&proxy.backend.Seen) - before
			outcomes[i] = o
		})
	}
	asking.Wait()
	most = 1
	for _, o := range outcomes[1:] {
		most = max(most, o.seen)
	}
	return outcomes, most
}

// quiet waits until a number has not risen for a while: a proxy answers a
// malformed body before the backend has counted the request that it began.
func quiet(n *atomic.Int64) int64 {
	tick := time.NewTicker(30 * time.Millisecond)
	defer tick.Stop()
	for before := n.Load(); ; before = n.Load() {
		<-tick.C
		if n.Load() == before {
			return before
		}
	}
}

// TestHTTP11Probe sends the requests of Http11Probe to the gateway, nginx and
// HAProxy. The gateway may fail none that both peers pass, and no payload may
// become more requests than through a peer.
func TestHTTP11Probe(t *testing.T) {
	dir := os.Getenv("HTTP11PROBE_DIR")
	if dir == "" {
		t.Skip("SKIPPED: HTTP11PROBE_DIR does not name the source of github.com/MDA2AV/Http11Probe")
	}
	all, cases := proxies(t), probes(t, dir)
	passed, judged := map[string]int{}, 0
	for _, p := range cases {
		outcomes, most := p.askAll(t, all)
		if outcomes[0].seen > most { // one of the probe before may have been counted late: what smuggles does it again
			outcomes, most = p.askAll(t, all)
		}
		if outcomes[0].seen > most {
			t.Errorf("%s: %d requests came of it, through peers %d: %.300q", p.id, outcomes[0].seen, most, p.payload)
		}
		if !p.judged {
			continue
		}
		judged++
		better := 0 // peers that pass
		for i, proxy := range all {
			if outcomes[i].passed {
				passed[proxy.name]++
				better += min(i, 1)
			}
		}
		if !outcomes[0].passed {
			said := fmt.Sprintf("%s: answered %d (closed: %v), wanted %d to %d; peers %+v: %.300q", p.id, outcomes[0].status, outcomes[0].closed, p.least, p.most, outcomes[1:], p.payload)
			if better == len(all)-1 {
				t.Error(said)
			} else {
				t.Log(said)
			}
		}
	}
	t.Logf("%d payloads, %d with a plain verdict; passed: %v", len(cases), judged, passed)
	if judged < 40 {
		t.Errorf("only %d probes could be read", judged)
	}
}

// TestSmuggler runs smuggler's mutations of Transfer-Encoding against the
// gateway; it may find nothing.
func TestSmuggler(t *testing.T) {
	dir := os.Getenv("SMUGGLER_DIR")
	if dir == "" {
		t.Skip("SKIPPED: SMUGGLER_DIR does not name the source of github.com/defparam/smuggler")
	}
	for _, p := range proxies(t) {
		out, err := suite(t, 10*time.Minute, nil, python, filepath.Join(dir, "smuggler.py"), "-u", "http://"+p.address+"/", "--no-color", "-t", "2")
		found := strings.Count(out, "Potential")
		t.Logf("%s: %d of %d mutations look like a way to smuggle", p.name, found, strings.Count(out, "OK (TECL")+found)
		if p.name == "gateway" && (err != nil || found > 0 || !strings.Contains(out, "OK (TECL")) {
			t.Errorf("%v\n%s", err, out[max(0, len(out)-6000):])
		}
	}
}
