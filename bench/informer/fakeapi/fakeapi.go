// Package fakeapi is a fake of a Kubernetes API server. It serves Pods only,
// in protobuf made by Kubernetes' own encoders: lists in pages, lists as
// streams, and watches from a revision. Changes are made ahead and published
// by Publish. It checks no account, and has no bookmarks but the one that
// ends a streamed list.
package fakeapi

import (
	"bytes"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"

	"github.com/backlot-video/backlot/bench/informer/pods"
)

const contentType = "application/vnd.kubernetes.protobuf"

// Server is an http.Handler.
type Server struct {
	objects  []*corev1.Pod
	initial  []byte // frames of a streamed list
	revision int    // of the list
	changes  [][]byte

	mu        sync.Mutex
	published int // of changes
	more      chan struct{}
	all       chan struct{} // closed when the last is written
	sent      []int64       // when a change was written to the first watch, Unix nanoseconds
}

var pages = protobuf.NewSerializer(runtime.NewScheme(), runtime.NewScheme())

// encode is an object as it stands in a body.
func encode(kind string, object runtime.Object) []byte {
	object.GetObjectKind().SetGroupVersionKind(schema.GroupVersionKind{Version: "v1", Kind: kind})
	var out bytes.Buffer
	if err := pages.Encode(object, &out); err != nil {
		panic(err)
	}
	return out.Bytes()
}

// Frame is an event of a watch.
func Frame(event string, pod *corev1.Pod) []byte {
	raw, err := (&metav1.WatchEvent{Type: event, Object: runtime.RawExtension{Raw: encode("Pod", pod)}}).Marshal()
	if err != nil {
		panic(err)
	}
	var out bytes.Buffer
	if _, err := protobuf.LengthDelimitedFramer.NewFrameWriter(&out).Write(raw); err != nil {
		panic(err)
	}
	return out.Bytes()
}

// New returns a server of so many Pods, and of changes to be published.
func New(count, changes int) *Server {
	s := &Server{more: make(chan struct{}), all: make(chan struct{}), sent: make([]int64, changes)}
	for n := range count {
		pod := pods.Pod(n)
		s.revision++
		pod.ResourceVersion = strconv.Itoa(s.revision)
		s.objects = append(s.objects, pod)
		s.initial = append(s.initial, Frame("ADDED", pod)...)
	}
	end := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		ResourceVersion: strconv.Itoa(s.revision), Annotations: map[string]string{metav1.InitialEventsAnnotationKey: "true"},
	}}
	s.initial = append(s.initial, Frame("BOOKMARK", end)...)
	for n := range changes {
		pod := s.objects[n*7919%count].DeepCopy()
		pods.Touch(pod, n)
		pod.ResourceVersion = strconv.Itoa(s.revision + 1 + n)
		s.changes = append(s.changes, Frame("MODIFIED", pod))
	}
	return s
}

// Publish publishes all changes at a rate, and returns when each was written.
func (s *Server) Publish(perSecond int) []int64 {
	began := time.Now()
	for n := range s.changes {
		time.Sleep(time.Until(began.Add(time.Duration(n) * time.Second / time.Duration(perSecond)))) //nolint:forbidigo // changes are due at times, whatever becomes of others
		s.mu.Lock()
		s.published = n + 1
		close(s.more)
		s.more = make(chan struct{})
		s.mu.Unlock()
	}
	<-s.all
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.sent)
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	w.Header().Set("Content-Type", contentType)
	if watch, _ := strconv.ParseBool(query.Get("watch")); !watch {
		s.page(w, query.Get("limit"), query.Get("continue"))
		return
	}
	w.Header().Set("Content-Type", contentType+";stream=watch")
	from, _ := strconv.Atoi(query.Get("resourceVersion"))
	if query.Get("sendInitialEvents") == "true" {
		_, _ = w.Write(s.initial)
		from = s.revision
	}
	s.watch(w, r, max(from-s.revision, 0))
}

func (s *Server) page(w http.ResponseWriter, limit, token string) {
	size, _ := strconv.Atoi(limit)
	at, _ := strconv.Atoi(token)
	if size == 0 {
		size = len(s.objects)
	}
	end := min(at+size, len(s.objects))
	list := &corev1.PodList{ListMeta: metav1.ListMeta{ResourceVersion: strconv.Itoa(s.revision)}}
	if end < len(s.objects) {
		list.Continue = strconv.Itoa(end)
	}
	for _, pod := range s.objects[at:end] {
		list.Items = append(list.Items, *pod)
	}
	_, _ = w.Write(encode("PodList", list))
}

func (s *Server) watch(w http.ResponseWriter, r *http.Request, at int) {
	w.(http.Flusher).Flush()
	for {
		s.mu.Lock()
		published, more := s.published, s.more
		s.mu.Unlock()
		for ; at < published; at++ {
			s.mu.Lock()
			if s.sent[at] == 0 {
				if s.sent[at] = time.Now().UnixNano(); at == len(s.changes)-1 {
					close(s.all)
				}
			}
			s.mu.Unlock()
			if _, err := w.Write(s.changes[at]); err != nil {
				return
			}
			w.(http.Flusher).Flush()
		}
		select {
		case <-more:
		case <-r.Context().Done():
			return
		}
	}
}
