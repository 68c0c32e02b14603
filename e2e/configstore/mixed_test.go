//go:build mixed

package configstore

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/backlot-video/backlot/e2e/internal/cluster"
	"github.com/backlot-video/backlot/kit/testport"
)

// The versions of clusters of the older etcd alone, and of ours.
const (
	older = "3.6.0"
	ours  = "3.7.0"
)

// server is one member of etcd, by whichever binary.
type server struct {
	name, url, peer string
	args            []string
	process         *cluster.Process
}

// mixed is members of two versions, and what writers were told.
type mixed struct {
	*testing.T
	etcd, configstore string // binaries
	servers           []*server
	dir               string

	next atomic.Int64
	mu   sync.Mutex
	kept []string // keys that were acknowledged
}

func newMixed(t *testing.T) *mixed {
	t.Helper()
	etcd := os.Getenv("ETCD36")
	if _, err := os.Stat(etcd); err != nil {
		t.Fatalf("ETCD36=%s: %v; it is the path of etcd 3.6, which `make cluster-mixed` builds", etcd, err)
	}
	return &mixed{T: t, etcd: etcd, configstore: cluster.Build(t, cluster.Plain, "services/configstore/cmd/configstore"), dir: t.TempDir()}
}

// add is one more server, with peers at an address.
func (m *mixed) add(name, peer string) *server {
	s := &server{name: name, url: "http://" + testport.Address(m), peer: peer}
	m.servers = append(m.servers, s)
	return s
}

// found says how a server starts: in a new cluster, or in the one that there is.
func (m *mixed) found(s *server, state string) {
	var all []string
	for _, other := range m.servers {
		all = append(all, other.name+"="+other.peer)
	}
	s.args = []string{
		"--name", s.name, "--data-dir", filepath.Join(m.dir, s.name), "--log-level", "warn",
		"--listen-client-urls", s.url, "--advertise-client-urls", s.url, "--listen-peer-urls", s.peer,
		"--initial-advertise-peer-urls", s.peer, "--initial-cluster", strings.Join(all, ","), "--initial-cluster-state", state,
	}
}

func (m *mixed) runOlder(s *server) { s.process = cluster.Start(m.T, m.etcd, s.args, nil) }

func (m *mixed) runOurs(s *server) {
	s.process = cluster.Start(m.T, m.configstore, append([]string{"etcd"}, s.args...), nil)
}

// call asks a server by JSON; nil where it does not answer well.
func (s *server) call(ctx context.Context, path, body string) map[string]any {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	method := http.MethodPost
	if body == "" {
		method = http.MethodGet
	}
	request, err := http.NewRequestWithContext(ctx, method, s.url+path, bytes.NewBufferString(body))
	if err != nil {
		return nil
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil
	}
	defer func() { _ = response.Body.Close() }()
	answer := map[string]any{}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil || response.StatusCode != http.StatusOK {
		return nil
	}
	return answer
}

// tell has a server do something, which it may refuse until all are connected.
func (m *mixed) tell(s *server, path, body string) {
	m.Helper()
	m.await(path+" "+body, func(s *server) bool { return s.call(m.Context(), path, body) != nil }, s)
}

// await waits for something of servers.
func (m *mixed) await(what string, holds func(s *server) bool, servers ...*server) {
	m.Helper()
	ctx, cancel := context.WithTimeout(m.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for _, s := range servers {
		for !holds(s) {
			select {
			case <-tick.C:
			case <-s.process.Ended():
				m.Fatalf("%s ended, waiting for %s:\n%s", s.name, what, s.process.Tail())
			case <-ctx.Done():
				m.Fatalf("%s: no %s:\n%s", s.name, what, s.process.Tail())
			}
		}
	}
	m.Log(what)
}

// version waits until every server serves in a cluster of a version.
func (m *mixed) version(of string) {
	m.Helper()
	m.await("cluster of version "+of, func(s *server) bool {
		return s.call(m.Context(), "/version", "")["etcdcluster"] == of && s.call(m.Context(), "/health", "")["health"] == "true"
	}, m.servers...)
}

// write puts one key after the other at any server, until ctx ends.
func (m *mixed) write(ctx context.Context, servers []*server) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		n := m.next.Add(1)
		key := encoded(fmt.Sprintf("key%08d", n))
		if servers[n%int64(len(servers))].call(m.Context(), "/v3/kv/put", fmt.Sprintf(`{"key":%q,"value":%q}`, key, key)) != nil {
			m.mu.Lock()
			m.kept = append(m.kept, key)
			m.mu.Unlock()
		}
	}
}

// verify looks for every key that was acknowledged, at every server by itself.
func (m *mixed) verify(when string) {
	m.Helper()
	m.mu.Lock()
	kept := m.kept[:len(m.kept):len(m.kept)]
	m.mu.Unlock()
	for _, s := range m.servers {
		answer := s.call(m.Context(), "/v3/kv/range", fmt.Sprintf(`{"key":%q,"range_end":%q}`, encoded("key"), encoded("kez")))
		found := map[any]bool{}
		kvs, _ := answer["kvs"].([]any)
		for _, kv := range kvs {
			if kv, ok := kv.(map[string]any); ok && kv["key"] == kv["value"] {
				found[kv["key"]] = true
			}
		}
		lost := 0
		for _, key := range kept {
			if !found[key] {
				lost++
			}
		}
		if lost > 0 {
			m.Errorf("%s: %d of %d writes that were acknowledged are not at %s", when, lost, len(kept), s.name)
		}
	}
	m.Logf("%s: %d writes acknowledged, all at every member", when, len(kept))
}

// TestMembersOfTwoVersions has etcd 3.6 and `configstore etcd` be members of
// one cluster under load: ours joins, all become ours one by one, one is killed
// meanwhile, the cluster is told to go back, and all become etcd 3.6 again.
func TestMembersOfTwoVersions(t *testing.T) {
	m := newMixed(t)
	a, b := m.add("a", "http://"+testport.Address(t)), m.add("b", "http://"+testport.Address(t))
	for _, s := range m.servers {
		m.found(s, "new")
	}
	for _, s := range m.servers {
		m.runOlder(s)
	}
	m.version(older)
	peer := "http://" + testport.Address(t)
	m.tell(b, "/v3/cluster/member/add", fmt.Sprintf(`{"peerURLs":[%q]}`, peer))
	c := m.add("c", peer)
	m.found(c, "existing")
	m.runOurs(c)
	m.version(older)

	var writing sync.WaitGroup
	ctx, stop := context.WithCancel(t.Context())
	defer writing.Wait()
	defer stop()
	for range 4 {
		writing.Go(func() { m.write(ctx, m.servers) })
	}
	c.process.Kill()
	m.runOurs(c)
	m.version(older)
	m.verify("one of three is ours, and was killed")
	a.process.Terminate()
	m.runOurs(a)
	m.version(older)
	b.process.Kill()
	m.runOlder(b)
	m.version(older)
	m.verify("two of three are ours, and the other was killed")
	b.process.Terminate()
	m.runOurs(b)
	m.version(ours)
	m.verify("all are ours")

	m.tell(a, "/v3/maintenance/downgrade", `{"action":"ENABLE","version":"3.6"}`)
	m.version(older)
	m.await("storage of version "+older, func(s *server) bool {
		return s.call(t.Context(), "/v3/maintenance/status", "{}")["storageVersion"] == older
	}, m.servers...)
	for _, s := range m.servers {
		s.process.Terminate()
		m.runOlder(s)
		m.version(older)
	}
	stop()
	writing.Wait()
	m.verify("all are etcd 3.6 again")
	if len(m.kept) == 0 {
		t.Error("nothing was written: the test shows nothing")
	}
	for _, s := range m.servers {
		s.process.Terminate()
	}
}
