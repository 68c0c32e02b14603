package kubernetes_test

import (
	"encoding/binary"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

// fake is a fake of an API server: it knows endpoint slices only, in the forms
// in which a real one sends them, lists one slice a page, and sends of a watch
// what the test tells it to.
type fake struct {
	*httptest.Server
	json   bool        // it does not speak protobuf
	stream bool        // it can stream lists
	events chan []byte // bytes of the watch

	mu       sync.Mutex
	slices   []slice
	revision int
	asked    []string
	status   int // of the next answer, where it is not 200
}

func newFake(t *testing.T, slices ...slice) *fake {
	f := &fake{events: make(chan []byte), slices: slices, revision: 100}
	f.Server = httptest.NewServer(http.HandlerFunc(f.serve))
	t.Cleanup(f.Close)
	return f
}

func (f *fake) set(revision int, slices ...slice) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.revision, f.slices = revision, slices
}

func (f *fake) serve(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	f.mu.Lock()
	f.asked = append(f.asked, strings.Join([]string{
		r.URL.Path, query.Get("labelSelector"), query.Get("sendInitialEvents"), query.Get("resourceVersion"), r.Header.Get("Authorization"),
	}, " "))
	status, slices, revision := f.status, f.slices, f.revision
	f.status = 0
	f.mu.Unlock()
	watch, initial := query.Get("watch") != "", query.Get("sendInitialEvents") != ""
	if initial && !f.stream && status == 0 {
		status = http.StatusUnprocessableEntity
	}
	kind := "application/json"
	if !f.json && strings.HasPrefix(r.Header.Get("Accept"), "application/vnd.kubernetes.protobuf") {
		kind = "application/vnd.kubernetes.protobuf"
		if watch && status == 0 {
			kind += ";stream=watch"
		}
	}
	w.Header().Set("Content-Type", kind)
	switch {
	case status != 0:
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(status)
		_, _ = w.Write(f.failure(status, "too old"))
	case watch:
		if initial {
			for _, s := range slices {
				_, _ = w.Write(f.event("ADDED", s))
			}
			_, _ = w.Write(f.event("BOOKMARK", slice{revision: revision, whole: true}))
			w.(http.Flusher).Flush()
			<-r.Context().Done() // what happens next is for the watch that follows
			return
		}
		f.follow(w, r)
	default:
		at, _ := strconv.Atoi(query.Get("continue"))
		next := ""
		if at+1 < len(slices) {
			next = strconv.Itoa(at + 1)
		}
		_, _ = w.Write(f.page(slices[min(at, len(slices)):min(at+1, len(slices))], revision, next))
	}
}

func (f *fake) follow(w http.ResponseWriter, r *http.Request) {
	for {
		w.(http.Flusher).Flush()
		select {
		case raw, open := <-f.events:
			if !open {
				return
			}
			_, _ = w.Write(raw)
		case <-r.Context().Done():
			return
		}
	}
}

// slice is an EndpointSlice in the namespace shop.
type slice struct {
	name, service string
	revision      int
	endpoints     []endpoint
	whole         bool // the bookmark at the end of a streamed list
}

type endpoint struct {
	addresses []string
	ready     bool
	pod, zone string
}

var (
	pod1 = endpoint{[]string{"10.0.0.1", "10.0.0.9"}, true, "web-1", "a"}
	pod2 = endpoint{[]string{"fd00::2"}, false, "", "b"}
)

// fields makes a message: of pairs of a number and a value, which is a string,
// a fields, or an int.
type fields []byte

func message(pairs ...any) fields {
	var raw fields
	for n := 0; n < len(pairs); n += 2 {
		number := protowire.Number(pairs[n].(int))
		switch value := pairs[n+1].(type) {
		case int:
			raw = protowire.AppendTag(raw, number, protowire.VarintType)
			raw = protowire.AppendVarint(raw, uint64(value))
		case string:
			raw = protowire.AppendTag(raw, number, protowire.BytesType)
			raw = protowire.AppendString(raw, value)
		case fields:
			raw = protowire.AppendTag(raw, number, protowire.BytesType)
			raw = protowire.AppendBytes(raw, value)
		}
	}
	return raw
}

func (s slice) protobuf() fields {
	metadata := message(1, s.name, 3, "shop", 5, "uid", 6, strconv.Itoa(s.revision), 11, message(1, "x", 2, "y"),
		11, message(1, "kubernetes.io/service-name", 2, s.service), 17, message(1, "manager", 4, strings.Repeat("f", 200)))
	if s.whole {
		metadata = append(metadata, message(12, message(1, "k8s.io/initial-events-end", 2, "true"))...)
	}
	raw := message(1, metadata)
	for _, e := range s.endpoints {
		one, ready := fields{}, 0
		for _, address := range e.addresses {
			one = append(one, message(1, address)...)
		}
		if e.ready {
			ready = 1
		}
		one = append(one, message(2, message(1, ready, 2, 1), 4, message(1, "Pod", 3, e.pod), 6, "n1", 7, e.zone)...)
		raw = append(raw, message(2, one)...)
	}
	return append(raw, message(3, message(1, "metrics", 2, "TCP", 3, 9090), 3, message(1, "http", 2, "TCP", 3, 8080), 4, "IPv4")...)
}

func (s slice) json() string {
	var endpoints []string
	for _, e := range s.endpoints {
		endpoints = append(endpoints, fmt.Sprintf(`{"addresses":["%s"],"conditions":{"ready":%v,"serving":true},"nodeName":"n1","targetRef":{"kind":"Pod","name":%q},"zone":%q}`,
			strings.Join(e.addresses, `","`), e.ready, e.pod, e.zone))
	}
	annotations := ""
	if s.whole {
		annotations = `"k8s.io/initial-events-end":"true"`
	}
	return fmt.Sprintf(`{"metadata":{"name":%q,"namespace":"shop","uid":"1","resourceVersion":"%d","labels":{"kubernetes.io/service-name":%q},"annotations":{%s},`+
		`"managedFields":[{"manager":"x","fieldsV1":{"f:a":{}}}]},"addressType":"IPv4","endpoints":[%s],`+
		`"ports":[{"name":"metrics","protocol":"TCP","port":9090},{"name":"http","protocol":"TCP","port":8080}]}`,
		s.name, s.revision, s.service, annotations, strings.Join(endpoints, ","))
}

// unknown is an object as it stands in a body.
func unknown(kind string, object fields) fields {
	return append(fields("k8s\x00"), message(1, message(1, "discovery.k8s.io/v1", 2, kind), 2, object, 3, "", 4, "")...)
}

func frame(kind string, object fields) []byte {
	raw := message(1, kind, 2, message(1, object))
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(raw))), raw...)
}

func (f *fake) event(kind string, s slice) []byte {
	if f.json {
		return []byte(`{"type":"` + kind + `","object":` + s.json() + "}\n")
	}
	return frame(kind, unknown("EndpointSlice", s.protobuf()))
}

func status(code int, text string) fields {
	return unknown("Status", message(2, "Failure", 3, text, 4, "Expired", 5, message(1, "x", 5, 3), 6, code))
}

func (f *fake) failure(code int, text string) []byte {
	if f.json {
		return fmt.Appendf(nil, `{"kind":"Status","status":"Failure","message":%q,"code":%d}`, text, code)
	}
	return status(code, text)
}

func (f *fake) gone() []byte {
	if f.json {
		return []byte(`{"type":"ERROR","object":` + string(f.failure(410, "too old")) + "}\n")
	}
	return frame("ERROR", status(410, "too old"))
}

func (f *fake) page(slices []slice, revision int, next string) []byte {
	if f.json {
		var items []string
		for _, s := range slices {
			items = append(items, s.json())
		}
		return fmt.Appendf(nil, `{"kind":"EndpointSliceList","apiVersion":"discovery.k8s.io/v1","metadata":{"resourceVersion":"%d","continue":%q},"items":[%s]}`,
			revision, next, strings.Join(items, ","))
	}
	list := message(1, message(1, "", 2, strconv.Itoa(revision), 3, next))
	for _, s := range slices {
		list = append(list, message(2, s.protobuf())...)
	}
	return unknown("EndpointSliceList", list)
}
