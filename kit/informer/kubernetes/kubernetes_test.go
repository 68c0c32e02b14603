package kubernetes_test

import (
	"context"
	"errors"
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

	"google.golang.org/protobuf/proto"

	"github.com/backlot-video/backlot/kit/informer"
	"github.com/backlot-video/backlot/kit/informer/kubernetes"
	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
)

type set = *configstorev1.InstanceSet

func newSource(t testing.TB, config kubernetes.Config) *kubernetes.Source {
	t.Helper()
	source, err := kubernetes.New(kubernetes.EndpointSlices, config)
	if err != nil {
		t.Fatal(err)
	}
	return source
}

func follow(t *testing.T, f *fake, config kubernetes.Config) (*informer.Informer[set], chan informer.Event[set]) {
	t.Helper()
	config.URL = f.URL
	source := newSource(t, config)
	i := informer.NewDecoded(source, "EndpointSlice", kubernetes.Instances(""), informer.Config{BackoffMin: 1, BackoffMax: 2})
	events := make(chan informer.Event[set], 100)
	i.OnChange(func(batch []informer.Event[set]) {
		for _, e := range batch {
			events <- e
		}
	})
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = i.Run(ctx) })
	t.Cleanup(func() { cancel(); f.CloseClientConnections(); running.Wait() })
	return i, events
}

func TestSlicesAreListedWatchedAndListedAnew(t *testing.T) {
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, set := range map[string]func(*fake){
		"protobuf, streamed list": func(f *fake) { f.stream = true },
		"protobuf, pages":         func(*fake) {},
		"JSON, streamed list":     func(f *fake) { f.json, f.stream = true, true },
		"JSON, pages":             func(f *fake) { f.json = true },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, slice{name: "web-a", service: "web", revision: 90, endpoints: []endpoint{pod1, pod2}},
				slice{name: "db-a", service: "db", revision: 91, endpoints: []endpoint{pod1}})
			set(f)
			i, events := follow(t, f, kubernetes.Config{TokenFile: token, Selector: "tier=front"})
			lifecycle(t, f, i, events)
			f.mu.Lock()
			defer f.mu.Unlock()
			if f.asked[0] != "/apis/discovery.k8s.io/v1/endpointslices tier=front true  Bearer secret" {
				t.Errorf("asked %q", f.asked[0])
			}
			if refused := slices.ContainsFunc(f.asked[1:], func(asked string) bool { return strings.Contains(asked, "front true") }); refused != f.stream {
				t.Errorf("a streamed list is asked for again: %q", f.asked)
			}
		})
	}
}

// lifecycle has a list of web-a and db-a, changes, and a revision that is gone.
func lifecycle(t *testing.T, f *fake, i *informer.Informer[set], events chan informer.Event[set]) {
	t.Helper()
	<-events
	<-events
	got, _ := i.Get("shop", "web-a")
	want := []*configstorev1.Instance{
		{Id: "web-1", Service: "web", Address: "10.0.0.1:8080", Zone: "a", Ready: true},
		{Id: "[fd00::2]:8080", Service: "web", Address: "[fd00::2]:8080", Zone: "b"},
	}
	if len(got.GetInstances()) != len(want) {
		t.Fatalf("instances %v", got)
	}
	for n, instance := range got.GetInstances() {
		if !proto.Equal(instance, want[n]) {
			t.Errorf("instance %d = %v", n, instance)
		}
	}
	if i.Revision() != 100 {
		t.Errorf("revision %d after the list", i.Revision())
	}
	f.events <- f.event("BOOKMARK", slice{revision: 105})
	f.events <- f.event("MODIFIED", slice{name: "web-a", service: "web", revision: 106, endpoints: []endpoint{pod1}})
	if e := <-events; e.Type != informer.Updated || len(e.Object.Spec.GetInstances()) != 1 || i.Revision() != 106 {
		t.Errorf("event %v, revision %d", e, i.Revision())
	}
	f.events <- f.event("DELETED", slice{name: "db-a", revision: 107})
	if e := <-events; e.Type != informer.Deleted || e.Object.Name != "db-a" {
		t.Errorf("event %v", e)
	}
	f.set(300, slice{name: "web-b", service: "web", revision: 200, endpoints: []endpoint{pod1}})
	f.events <- f.gone()
	names := map[string]informer.EventType{}
	for range 2 {
		e := <-events
		names[e.Object.Name] = e.Type
	}
	if names["web-b"] != informer.Added || names["web-a"] != informer.Deleted {
		t.Errorf("after the list: %v", names)
	}
}

func TestWatchGoesOnWhereItEnded(t *testing.T) {
	f := newFake(t, slice{name: "web-a", service: "web", revision: 90})
	i, events := follow(t, f, kubernetes.Config{})
	<-events
	f.events <- f.event("BOOKMARK", slice{revision: 150})
	for i.Revision() < 150 { // what has not arrived when its connection closes is lost
		select {
		case <-t.Context().Done():
			t.Fatal("the bookmark does not arrive")
		case <-time.After(time.Millisecond):
		}
	}
	f.CloseClientConnections()
	for {
		f.mu.Lock()
		last := f.asked[len(f.asked)-1]
		f.mu.Unlock()
		if strings.Contains(last, " 150 ") {
			return
		}
		select {
		case <-t.Context().Done():
			t.Fatalf("asked last: %q", last)
		case <-time.After(time.Millisecond):
		}
	}
}

func TestWhatArrivesTogetherIsOneBatch(t *testing.T) {
	f := newFake(t)
	source := newSource(t, kubernetes.Config{URL: f.URL})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var together []byte
	for n := range 10 {
		together = append(together, f.event("MODIFIED", slice{name: "s" + strconv.Itoa(n), revision: 200 + n})...)
	}
	go func() { f.events <- together }()
	err := source.Watch(ctx, "", "", 1, func(b informer.Batch) error {
		defer cancel()
		if len(b.Changes) != 10 || b.Revision != 209 || b.Changes[9].Name != "s9" || b.Changes[0].Name != "s0" {
			t.Errorf("batch of %d changes, revision %d", len(b.Changes), b.Revision)
		}
		return context.Canceled
	})
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestFailuresSayWhat(t *testing.T) {
	for _, json := range []bool{false, true} {
		f := newFake(t)
		f.json = json
		source := newSource(t, kubernetes.Config{URL: f.URL})
		for status, hint := range map[int]string{
			http.StatusGone: "too old", http.StatusForbidden: "verbs", http.StatusUnauthorized: "token", http.StatusTooManyRequests: "too old",
		} {
			f.status = status
			err := source.Watch(t.Context(), "", "shop", 1, func(informer.Batch) error { return nil })
			if err == nil || errors.Is(err, informer.ErrCompacted) != (status == http.StatusGone) ||
				!strings.Contains(err.Error(), hint) || !strings.Contains(err.Error(), strconv.Itoa(status)) {
				t.Errorf("status %d: %v", status, err)
			}
			var patient informer.Patient
			if !errors.As(err, &patient) || patient.RetryAfter() != 7*time.Second {
				t.Errorf("status %d does not tell when to come again: %v", status, err)
			}
		}
	}
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	for _, url := range []string{"", "ftp://a", "http://", ":"} {
		if _, err := kubernetes.New(kubernetes.EndpointSlices, kubernetes.Config{URL: url}); err == nil {
			t.Errorf("URL %q was taken", url)
		}
	}
	_, err := kubernetes.New(kubernetes.EndpointSlices, kubernetes.Config{URL: "http://x", Fields: []string{"metadata.nam"}})
	if err == nil || !strings.Contains(err.Error(), `"metadata.nam"`) {
		t.Errorf("a field that is none: %v", err)
	}
}

// raw answers with whatever bytes.
type raw struct {
	kind string
	body []byte
}

func (r raw) RoundTrip(*http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	w.Header().Set("Content-Type", r.kind)
	_, _ = w.Write(r.body)
	return w.Result(), nil
}

const protobufType = "application/vnd.kubernetes.protobuf"

func TestFieldsThatAreNotNamedNeverArrive(t *testing.T) {
	s := slice{name: "web-a", service: "web", revision: 90, endpoints: []endpoint{pod1, pod2}}
	for name, body := range map[string][]byte{"list": new(fake).page([]slice{s}, 100, ""), "watch": new(fake).event("ADDED", s)} {
		source := newSource(t, kubernetes.Config{
			URL: "http://fake", HTTP: &http.Client{Transport: raw{protobufType, body}}, Paged: true,
			Fields: []string{"metadata.labels", "endpoints.addresses", "endpoints.4.3", "ports"},
		})
		seen := 0
		check := func(item informer.Item) {
			seen++
			if text := string(item.Spec); strings.Contains(text, "ffff") || strings.Contains(text, "Pod") || strings.Contains(text, "shop") ||
				!strings.Contains(text, "web-1") || !strings.Contains(text, "10.0.0.9") {
				t.Errorf("%s: kept %q", name, text)
			}
			if item.Name != "web-a" || item.Namespace != "shop" || item.Revision != 90 {
				t.Errorf("%s: item %+v", name, item)
			}
			set, err := kubernetes.Instances("").Decode(&item)
			if err != nil || len(set.GetInstances()) != 2 || set.GetInstances()[0].GetAddress() != "10.0.0.1:8080" {
				t.Errorf("%s: %v, %v", name, set, err)
			}
		}
		if name == "list" {
			if _, err := source.List(t.Context(), "", "", func(items []informer.Item) error {
				for _, item := range items {
					check(item)
				}
				return nil
			}); err != nil {
				t.Error(err)
			}
		} else if err := source.Watch(t.Context(), "", "", 1, func(b informer.Batch) error {
			check(b.Changes[0].Item)
			return nil
		}); !errors.Is(err, informer.ErrEnded) {
			t.Error(err)
		}
		if seen != 1 {
			t.Errorf("%s: %d objects", name, seen)
		}
	}
}

func TestInstancesAreKept(t *testing.T) {
	keeper := kubernetes.Instances("")
	s := slice{name: "web-a", service: "web", endpoints: []endpoint{pod1, pod2}}
	want, err := keeper.Decode(&informer.Item{Spec: s.protobuf()})
	if err != nil || len(want.GetInstances()) != 2 {
		t.Fatalf("%v, %v", want, err)
	}
	raw, err := keeper.Encode(want)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := keeper.Restore(raw); err != nil || !proto.Equal(got, want) {
		t.Errorf("restored: %v, %v", got, err)
	}
	if set, err := kubernetes.Instances("team").Decode(&informer.Item{Spec: s.protobuf()}); err != nil || len(set.GetInstances()) != 0 {
		t.Errorf("without the label: %v, %v", set, err)
	}
}

func TestTooMuchIsRefused(t *testing.T) {
	s := slice{name: "web-a", service: strings.Repeat("x", 5000), revision: 90}
	long := message(1, strings.Repeat("x", 5000))
	for name, answer := range map[string]raw{
		"object":        {protobufType, new(fake).page([]slice{s}, 100, "")},
		"frame":         {protobufType, new(fake).event("ADDED", s)},
		"JSON object":   {"application/json", (&fake{json: true}).page([]slice{s}, 100, "")},
		"JSON event":    {"application/json", (&fake{json: true}).event("ADDED", s)},
		"list metadata": {protobufType, unknown("X", message(1, long))},
	} {
		source := newSource(t, kubernetes.Config{
			URL: "http://fake", HTTP: &http.Client{Transport: answer}, Paged: true, MaxObjectBytes: 4096,
		})
		var err error
		if strings.HasSuffix(name, "frame") || strings.HasSuffix(name, "event") {
			err = source.Watch(t.Context(), "", "", 1, func(informer.Batch) error { return nil })
		} else {
			_, err = source.List(t.Context(), "", "", func([]informer.Item) error { return nil })
		}
		if err == nil || !strings.Contains(err.Error(), "MaxObjectBytes") {
			t.Errorf("%s: %v", name, err)
		}
	}
	source := newSource(t, kubernetes.Config{URL: "http://fake", HTTP: &http.Client{Transport: raw{"text/html", nil}}})
	if _, err := source.List(t.Context(), "", "", nil); err == nil || !strings.Contains(err.Error(), "text/html") {
		t.Errorf("another content type: %v", err)
	}
}

func TestListThatIsCutOffIsNoList(t *testing.T) {
	a := slice{name: "a", service: "web", revision: 90, endpoints: []endpoint{pod1}}
	whole := new(fake).page([]slice{a, a}, 100, "")
	list := func(body []byte) error {
		source := newSource(t, kubernetes.Config{URL: "http://fake", HTTP: &http.Client{Transport: raw{protobufType, body}}, Paged: true})
		_, err := source.List(t.Context(), "", "", func([]informer.Item) error { return nil })
		return err
	}
	if err := list(whole); err != nil {
		t.Fatal(err)
	}
	for n := range len(whole) - 4 { // two empty fields are behind the list
		if list(whole[:n]) == nil {
			t.Errorf("a list is taken that ends at %d of %d", n, len(whole))
		}
	}
}

// FuzzAnswer: whatever the server sends, a watch ends with an error, and what
// is listed or watched decodes or does not, without a panic.
func FuzzAnswer(f *testing.F) {
	s := slice{name: "a", service: "b", revision: 1, endpoints: []endpoint{pod1}}
	for _, json := range []bool{false, true} {
		server := &fake{json: json}
		f.Add(json, server.event("ADDED", s))
		f.Add(json, server.event("BOOKMARK", slice{whole: true}))
		f.Add(json, server.gone())
		f.Add(json, server.page([]slice{s, s}, 7, ""))
		f.Add(json, server.failure(500, "no"))
	}
	f.Fuzz(func(t *testing.T, json bool, body []byte) {
		kind := protobufType
		if json {
			kind = "application/json"
		}
		for _, fields := range [][]string{nil, {"metadata.name", "endpoints.zone"}} {
			source := newSource(t, kubernetes.Config{URL: "http://fake", HTTP: &http.Client{Transport: raw{kind, body}}, Fields: fields, Paged: true})
			see := func(item *informer.Item) {
				if item.Revision < 0 {
					t.Errorf("revision %d", item.Revision)
				}
				_, _ = kubernetes.Instances("").Decode(item)
			}
			err := source.Watch(t.Context(), "", "", 1, func(b informer.Batch) error {
				for n := range b.Changes {
					see(&b.Changes[n].Item)
				}
				return nil
			})
			if err == nil {
				t.Error("no error")
			}
			pages := 0
			_, _ = source.List(t.Context(), "", "", func(items []informer.Item) error {
				for n := range items {
					see(&items[n])
				}
				if pages++; pages > 3 { // the same page again and again
					return context.Canceled
				}
				return nil
			})
		}
	})
}
