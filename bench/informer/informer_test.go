package informer

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http/httptest"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"

	"github.com/backlot-video/backlot/bench/informer/fakeapi"
	sample "github.com/backlot-video/backlot/bench/informer/pods"
	"github.com/backlot-video/backlot/bench/informer/view"
	"github.com/backlot-video/backlot/kit/informer"
	"github.com/backlot-video/backlot/kit/informer/kubernetes"
	"github.com/backlot-video/backlot/kit/informer/wire"
)

func TestPodsAreOfFourKilobytes(t *testing.T) {
	total := 0
	for n := range 200 {
		total += sample.Pod(n).Size()
	}
	if mean := total / 200; mean < 3800 || mean > 4400 {
		t.Errorf("a Pod has %d bytes", mean)
	}
}

// fieldOf is the field of a generated type that has a name in .proto files.
func fieldOf(kind reflect.Type, name string) (field reflect.StructField, number int, found bool) {
	for n := range kind.NumField() {
		field = kind.Field(n)
		parts := strings.Split(field.Tag.Get("protobuf"), ",")
		if len(parts) > 3 && strings.Contains(field.Tag.Get("protobuf"), "name="+name+",") || strings.HasSuffix(field.Tag.Get("protobuf"), "name="+name) {
			number, _ = strconv.Atoi(parts[1])
			return field, number, true
		}
	}
	return field, 0, false
}

func element(kind reflect.Type) reflect.Type {
	for kind.Kind() == reflect.Pointer || kind.Kind() == reflect.Slice {
		kind = kind.Elem()
	}
	return kind
}

func checkSchema(t *testing.T, path string, schema wire.Schema, kind reflect.Type) {
	t.Helper()
	for name, field := range schema {
		got, number, found := fieldOf(kind, name)
		if !found || number != field.Number {
			t.Errorf("%s.%s is field %d here and %d in %s", path, name, field.Number, number, kind)
		} else if field.Message != nil {
			checkSchema(t, path+"."+name, field.Message, element(got.Type))
		}
	}
}

func TestNamesHaveTheNumbersThatKubernetesGivesThem(t *testing.T) {
	checkSchema(t, "Pod", kubernetes.Pods.Schema, reflect.TypeFor[corev1.Pod]())
	checkSchema(t, "EndpointSlice", kubernetes.EndpointSlices.Schema, reflect.TypeFor[discoveryv1.EndpointSlice]())
}

// paths are those of a schema down to where it ends.
func paths(prefix string, schema wire.Schema) (all []string) {
	for name, field := range schema {
		if all = append(all, prefix+name); field.Message != nil {
			all = append(all, paths(prefix+name+".", field.Message)...)
		}
	}
	return all
}

// clearOthers sets to zero what no path names.
func clearOthers(value reflect.Value, paths []string) {
	for n := range value.NumField() {
		_, tag, found := strings.Cut(value.Type().Field(n).Tag.Get("protobuf"), "name=")
		if !found {
			continue
		}
		name, _, _ := strings.Cut(tag, ",")
		var below []string
		whole := false
		for _, path := range paths {
			head, rest, more := strings.Cut(path, ".")
			switch {
			case head != name:
			case more:
				below = append(below, rest)
			default:
				whole = true
			}
		}
		field := value.Field(n)
		switch {
		case whole:
		case below == nil:
			field.SetZero()
		case field.Kind() == reflect.Slice:
			for i := range field.Len() {
				clearOthers(reflect.Indirect(field.Index(i)), below)
			}
		case field.Kind() == reflect.Pointer && field.IsNil():
		default:
			clearOthers(reflect.Indirect(field), below)
		}
	}
}

// TestMaskedPodIsTheWholeOneWithFieldsCleared: for random masks.
func TestMaskedPodIsTheWholeOneWithFieldsCleared(t *testing.T) {
	every := paths("", kubernetes.Pods.Schema)
	decoder := kubernetes.Typed[corev1.Pod]()
	for seed := range uint64(3000) {
		random := rand.New(rand.NewPCG(seed, 0))
		var chosen []string
		for range 1 + random.IntN(12) {
			chosen = append(chosen, every[random.IntN(len(every))])
		}
		if seed == 0 {
			chosen = view.Mask
		}
		mask, err := wire.CompileMask(kubernetes.Pods.Schema, chosen...)
		if err != nil {
			t.Fatal(err)
		}
		whole := sample.Pod(int(seed))
		sample.Touch(whole, int(seed%7))
		if seed%3 == 0 {
			whole.Status.ContainerStatuses[0].State = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}}
			whole.Spec.InitContainers = whole.Spec.Containers[:1]
		}
		raw, err := whole.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		want := new(corev1.Pod)
		if err := want.Unmarshal(raw); err != nil {
			t.Fatal(err)
		}
		clearOthers(reflect.ValueOf(want).Elem(), chosen)
		masked, err := mask.Append(nil, raw)
		if err != nil {
			t.Fatal(err)
		}
		got, err := decoder.Decode(&informer.Item{Spec: masked})
		if err != nil || !apiequality.Semantic.DeepEqual(got, want) {
			t.Fatalf("seed %d, %v: %v\n%v\nwant\n%v", seed, chosen, err, got, want)
		}
	}
}

func TestTypedTakesJSONAndWhatItEncoded(t *testing.T) {
	keeper := kubernetes.Typed[corev1.Pod]()
	want := sample.Pod(3)
	text, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := keeper.Decode(&informer.Item{Spec: text, Encoding: informer.JSON})
	if err != nil || !apiequality.Semantic.DeepEqual(got, want) {
		t.Errorf("of JSON: %v, %v", got, err)
	}
	raw, err := keeper.Encode(want)
	if err != nil {
		t.Fatal(err)
	}
	if got, err = keeper.Restore(raw); err != nil || !apiequality.Semantic.DeepEqual(got, want) {
		t.Errorf("restored: %v, %v", got, err)
	}
	if _, err := keeper.Decode(&informer.Item{Spec: []byte{0x0a, 5}}); err == nil {
		t.Error("a message that is cut off is taken")
	}
}

// follow runs an informer over the fake server, with Kubernetes' own encoders.
func follow[T any](t *testing.T, server *fakeapi.Server, decoder informer.Decoder[T], config kubernetes.Config) *informer.Informer[T] {
	t.Helper()
	http := httptest.NewServer(server)
	config.URL = http.URL
	source, err := kubernetes.New(kubernetes.Pods, config)
	if err != nil {
		t.Fatal(err)
	}
	objects := informer.NewDecoded(source, "Pod", decoder, informer.Config{})
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = objects.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait(); http.Close() })
	if err := objects.WaitSynced(ctx); err != nil {
		t.Fatal(err)
	}
	return objects
}

func TestPodsOfKubernetesEncodersAreListedAndWatched(t *testing.T) {
	const count, changes = 700, 50
	for _, paged := range []bool{false, true} {
		t.Run(fmt.Sprintf("paged %v", paged), func(t *testing.T) {
			server := fakeapi.New(count, changes)
			whole := follow(t, server, kubernetes.Typed[corev1.Pod](), kubernetes.Config{Paged: paged})
			views := follow(t, server, new(view.Decoder), kubernetes.Config{Paged: paged, Fields: view.Fields})
			if a, b := len(whole.List()), len(views.List()); a != count || b != count {
				t.Fatalf("%d and %d Pods", a, b)
			}
			reached := make(chan struct{}, 2)
			end := func(revision int64) {
				if revision == count+changes {
					reached <- struct{}{}
				}
			}
			whole.OnChange(func([]informer.Event[*corev1.Pod]) { end(latest(whole.List())) })
			views.OnChange(func([]informer.Event[view.Pod]) { end(latest(views.List())) })
			server.Publish(2000)
			for range 2 {
				select {
				case <-reached:
				case <-time.After(20 * time.Second):
					t.Fatal("changes are missing")
				}
			}
			for _, object := range whole.List() {
				pod := object.Spec
				if pod.Name != object.Name || pod.Namespace != object.Namespace || pod.ResourceVersion != strconv.FormatInt(object.Revision, 10) {
					t.Fatalf("%s/%s at %d holds %s", object.Namespace, object.Name, object.Revision, pod.Name)
				}
				if got, _ := views.Get(object.Namespace, object.Name); got != project(pod) {
					t.Fatalf("projection %+v, want %+v", got, project(pod))
				}
			}
		})
	}
}

func latest[T any](objects []*informer.Object[T]) (revision int64) {
	for _, object := range objects {
		revision = max(revision, object.Revision)
	}
	return revision
}

// project is the projection, made from the whole Pod.
func project(pod *corev1.Pod) view.Pod {
	v := view.Pod{
		App: pod.Labels["app.kubernetes.io/name"], Node: pod.Spec.NodeName, Phase: string(pod.Status.Phase), IP: pod.Status.PodIP,
		Deleting: pod.DeletionTimestamp != nil,
	}
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodReady {
			v.Ready = condition.Status == corev1.ConditionTrue
		}
	}
	for _, container := range pod.Status.ContainerStatuses {
		v.Containers++
		v.Restarts += container.RestartCount
		if container.Ready {
			v.ContainersReady++
		}
	}
	return v
}
