package kubernetes_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/backlot-video/backlot/kit/informer"
	"github.com/backlot-video/backlot/kit/informer/kubernetes"
	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
)

// server is a fake of an API server: it knows endpoint slices only, in the
// form in which a real one sends them.
type server struct {
	*httptest.Server
	t      *testing.T
	events chan string // lines of the watch

	mu       sync.Mutex
	slices   []string
	revision int
	asked    []string
	status   int // of the next answer, where it is not 200
}

func newServer(t *testing.T, slices ...string) *server {
	s := &server{t: t, events: make(chan string), slices: slices, revision: 100}
	s.Server = httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(s.Close)
	return s
}

func (s *server) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.asked = append(s.asked, r.URL.Path+" "+r.URL.Query().Get("labelSelector")+" "+r.Header.Get("Authorization"))
	status, slices, revision := s.status, s.slices, s.revision
	s.status = 0
	s.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	query := r.URL.Query()
	switch {
	case status != 0:
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"kind":"Status","status":"Failure","message":"too old","code":%d}`, status)
	case query.Get("watch") != "":
		w.(http.Flusher).Flush()
		for {
			select {
			case line, open := <-s.events:
				if !open {
					return
				}
				fmt.Fprintln(w, line)
				w.(http.Flusher).Flush()
			case <-r.Context().Done():
				return
			}
		}
	default: // one slice a page
		var at int
		fmt.Sscan(query.Get("continue"), &at)
		next, item := "", ""
		if at < len(slices) {
			item = slices[at]
		}
		if at+1 < len(slices) {
			next = fmt.Sprint(at + 1)
		}
		fmt.Fprintf(w, `{"kind":"EndpointSliceList","apiVersion":"discovery.k8s.io/v1","metadata":{"resourceVersion":"%d","continue":%q},"items":[%s]}`, revision, next, item)
	}
}

// slice is one as Kubernetes writes it, what is skipped included.
func slice(name, service string, revision int, endpoints string) string {
	return fmt.Sprintf(`{"metadata":{"name":%q,"namespace":"shop","uid":"1","resourceVersion":"%d","labels":{"kubernetes.io/service-name":%q},
		"managedFields":[{"manager":"x","fieldsV1":{"f:a":{}}}]},"addressType":"IPv4","endpoints":[%s],
		"ports":[{"name":"metrics","protocol":"TCP","port":9090},{"name":"http","protocol":"TCP","port":8080}]}`, name, revision, service, endpoints)
}

const (
	pod1 = `{"addresses":["10.0.0.1","10.0.0.9"],"conditions":{"ready":true,"serving":true},"nodeName":"n1","targetRef":{"kind":"Pod","name":"web-1"},"zone":"a"}`
	pod2 = `{"addresses":["fd00::2"],"conditions":{"ready":false},"zone":"b"}`
)

func follow(t *testing.T, s *server, config kubernetes.Config) (*informer.Informer[*configstorev1.InstanceSet], chan informer.Event[*configstorev1.InstanceSet]) {
	t.Helper()
	config.URL = s.URL
	source, err := kubernetes.New(config)
	if err != nil {
		t.Fatal(err)
	}
	i := informer.New[*configstorev1.InstanceSet](source, kubernetes.Kind, informer.Config{BackoffMin: 1, BackoffMax: 2})
	events := make(chan informer.Event[*configstorev1.InstanceSet], 100)
	i.OnChange(func(batch []informer.Event[*configstorev1.InstanceSet]) {
		for _, e := range batch {
			events <- e
		}
	})
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = i.Run(ctx) })
	t.Cleanup(func() { cancel(); s.CloseClientConnections(); running.Wait() })
	return i, events
}

func TestSlicesAreListedWatchedAndListedAnew(t *testing.T) {
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := newServer(t, slice("web-a", "web", 90, pod1+","+pod2), slice("db-a", "db", 91, pod1))
	i, events := follow(t, s, kubernetes.Config{TokenFile: token, Selector: "tier=front"})
	<-events
	<-events
	got, _ := i.Get("shop", "web-a")
	want := []*configstorev1.Instance{
		{Id: "web-1", Service: "web", Address: "10.0.0.1:8080", Zone: "a", Ready: true},
		{Id: "[fd00::2]:8080", Service: "web", Address: "[fd00::2]:8080", Zone: "b"},
	}
	for n, instance := range got.GetInstances() {
		if !proto.Equal(instance, want[n]) {
			t.Errorf("instance %d = %v", n, instance)
		}
	}
	s.events <- `{"type":"BOOKMARK","object":{"kind":"EndpointSlice","metadata":{"resourceVersion":"105"}}}`
	s.events <- `{"type":"MODIFIED","object":` + strings.ReplaceAll(slice("web-a", "web", 106, pod1), "\n", "") + `}`
	if e := <-events; e.Type != informer.Updated || len(e.Object.Spec.GetInstances()) != 1 || i.Revision() != 106 {
		t.Errorf("event %v, revision %d", e, i.Revision())
	}
	s.events <- `{"type":"DELETED","object":` + strings.ReplaceAll(slice("db-a", "db", 107, ""), "\n", "") + `}`
	if e := <-events; e.Type != informer.Deleted || e.Object.Name != "db-a" {
		t.Errorf("event %v", e)
	}
	// The revision is gone: list again.
	s.mu.Lock()
	s.slices, s.revision = []string{slice("web-b", "web", 200, pod1)}, 300
	s.mu.Unlock()
	s.events <- `{"type":"ERROR","object":{"kind":"Status","code":410,"message":"too old resource version"}}`
	names := map[string]informer.EventType{}
	for range 2 {
		e := <-events
		names[e.Object.Name] = e.Type
	}
	if names["web-b"] != informer.Added || names["web-a"] != informer.Deleted {
		t.Errorf("after the list: %v", names)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.asked[0] != "/apis/discovery.k8s.io/v1/endpointslices tier=front Bearer secret" {
		t.Errorf("asked %q", s.asked[0])
	}
}

func TestFailuresSayWhat(t *testing.T) {
	s := newServer(t)
	source, err := kubernetes.New(kubernetes.Config{URL: s.URL})
	if err != nil {
		t.Fatal(err)
	}
	for status, compacted := range map[int]bool{http.StatusGone: true, http.StatusForbidden: false} {
		s.status = status
		err := source.Watch(t.Context(), "", "shop", 1, func(informer.Batch) error { return nil })
		if err == nil || errors.Is(err, informer.ErrCompacted) != compacted || !strings.Contains(err.Error(), "too old") {
			t.Errorf("status %d: %v", status, err)
		}
	}
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	for _, url := range []string{"", "ftp://a", "http://", ":"} {
		if _, err := kubernetes.New(kubernetes.Config{URL: url}); err == nil {
			t.Errorf("URL %q was taken", url)
		}
	}
}

// FuzzWatch: whatever the server sends, the watch ends with an error.
func FuzzWatch(f *testing.F) {
	f.Add(`{"type":"ADDED","object":` + strings.ReplaceAll(slice("a", "b", 1, pod1), "\n", "") + `}`)
	f.Add(`{"type":"ERROR","object":{"code":410}}`)
	f.Add(`{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"x"}}}`)
	f.Fuzz(func(t *testing.T, body string) {
		source, err := kubernetes.New(kubernetes.Config{URL: "http://fake", HTTP: &http.Client{Transport: answer(body)}})
		if err != nil {
			t.Fatal(err)
		}
		err = source.Watch(t.Context(), "", "", 1, func(b informer.Batch) error {
			for _, change := range b.Changes {
				if err := proto.Unmarshal(change.Spec, new(configstorev1.InstanceSet)); err != nil {
					t.Error(err)
				}
			}
			return nil
		})
		if err == nil {
			t.Error("no error")
		}
		if _, _, err := source.List(t.Context(), "", ""); err == nil && !json.Valid([]byte(strings.TrimSpace(body))) && !strings.HasPrefix(strings.TrimSpace(body), "{") {
			t.Errorf("a list of %q was taken", body)
		}
	})
}

// answer is an API server that always says the same.
type answer string

func (a answer) RoundTrip(*http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	_, _ = w.WriteString(string(a))
	return w.Result(), nil
}
