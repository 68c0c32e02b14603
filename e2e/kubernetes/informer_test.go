//go:build kubernetes

package kubernetes_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/backlot-video/backlot/kit/informer"
	"github.com/backlot-video/backlot/kit/informer/kubernetes"
	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
)

type set = *configstorev1.InstanceSet

// view is what an informer knows, and what it was told.
type view struct {
	t        *testing.T
	informer *informer.Informer[set]
	changed  chan struct{}
}

func (s *server) follow(t *testing.T, config kubernetes.Config) *view {
	t.Helper()
	config.URL, config.AuthorityFile = s.url, s.authority
	source, err := kubernetes.New(kubernetes.EndpointSlices, config)
	if err != nil {
		t.Fatal(err)
	}
	v := &view{t: t, changed: make(chan struct{}, 1)}
	v.informer = informer.NewDecoded(source, "EndpointSlice", kubernetes.Instances(""), informer.Config{
		BackoffMin: 10 * time.Millisecond, BackoffMax: 200 * time.Millisecond, IdleTimeout: kubernetes.IdleTimeout,
	})
	v.informer.OnChange(func([]informer.Event[set]) {
		select {
		case v.changed <- struct{}{}:
		default:
		}
	})
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = v.informer.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })
	return v
}

// addresses are those of all slices, in order.
func (v *view) addresses() []string {
	found := []string{}
	for _, object := range v.informer.List() {
		for _, instance := range object.Spec.GetInstances() {
			found = append(found, instance.GetService()+"@"+instance.GetAddress())
		}
	}
	slices.Sort(found)
	return found
}

// expect waits until the informer knows these addresses.
func (v *view) expect(want ...string) {
	v.t.Helper()
	limit := time.After(30 * time.Second)
	for !slices.Equal(v.addresses(), append([]string{}, want...)) {
		select {
		case <-v.changed:
		case <-limit:
			v.t.Fatalf("the informer knows %v, want %v", v.addresses(), want)
		}
	}
}

func TestInformerFollowsARealServer(t *testing.T) {
	s := newServer(t)
	s.must(http.MethodPost, slicesPath, slice("films-1", "films", 8080, "10.0.0.1", "10.0.0.2"))
	s.must(http.MethodPost, slicesPath, slice("shop-1", "shop", 80, "10.0.0.9"))
	token := s.tokenFile(admin)
	fields := []string{"metadata.name", "metadata.labels", "endpoints.addresses", "endpoints.conditions", "ports"}
	views := map[string]*view{
		"streamed list": s.follow(t, kubernetes.Config{TokenFile: token}),
		"pages":         s.follow(t, kubernetes.Config{TokenFile: token, Paged: true}),
		"fields":        s.follow(t, kubernetes.Config{TokenFile: token, Fields: fields}),
	}
	chosen := s.follow(t, kubernetes.Config{TokenFile: token, Selector: "app=shop"})
	expect := func(want ...string) {
		t.Helper()
		for name, v := range views {
			t.Log(name)
			v.expect(want...)
		}
	}
	expect("films@10.0.0.1:8080", "films@10.0.0.2:8080", "shop@10.0.0.9:80")
	chosen.expect("shop@10.0.0.9:80")

	s.must(http.MethodPost, slicesPath, slice("films-2", "films", 8081, "10.0.0.3"))
	s.must(http.MethodPatch, slicesPath+"/films-1", object{"endpoints": []object{{"addresses": []string{"10.0.0.2"}}}})
	expect("films@10.0.0.2:8080", "films@10.0.0.3:8081", "shop@10.0.0.9:80")
	s.must(http.MethodDelete, slicesPath+"/shop-1", nil)
	expect("films@10.0.0.2:8080", "films@10.0.0.3:8081")
	chosen.expect()

	t.Log("the server dies")
	s.process.Kill()
	expect("films@10.0.0.2:8080", "films@10.0.0.3:8081") // what was known serves on
	s.start()
	s.must(http.MethodDelete, slicesPath+"/films-2", nil)
	s.must(http.MethodPost, slicesPath, slice("shop-2", "shop", 81, "10.0.0.10"))
	expect("films@10.0.0.2:8080", "shop@10.0.0.10:81")
	chosen.expect("shop@10.0.0.10:81")
}

func TestManySlicesComeWhole(t *testing.T) {
	s := newServer(t)
	const n = 1500 // three pages
	var want []string
	for i := range n {
		s.must(http.MethodPost, slicesPath, slice(fmt.Sprintf("many-%d", i), "many", 80, fmt.Sprintf("10.1.%d.%d", i/250, 1+i%250)))
		want = append(want, fmt.Sprintf("many@10.1.%d.%d:80", i/250, 1+i%250))
	}
	slices.Sort(want)
	for _, paged := range []bool{false, true} {
		s.follow(t, kubernetes.Config{TokenFile: s.tokenFile(admin), Paged: paged}).expect(want...)
	}
}

func TestRightsAreMissedAndFound(t *testing.T) {
	s := newServer(t)
	s.must(http.MethodPost, slicesPath, slice("films-1", "films", 8080, "10.0.0.1"))
	config := kubernetes.Config{URL: s.url, TokenFile: s.tokenFile(viewer), AuthorityFile: s.authority}
	source, err := kubernetes.New(kubernetes.EndpointSlices, config)
	if err != nil {
		t.Fatal(err)
	}
	_, err = source.List(t.Context(), "EndpointSlice", "", func([]informer.Item) error { return nil })
	if err == nil || !strings.Contains(err.Error(), "403") || !strings.Contains(err.Error(), `resource "endpointslices"`) {
		t.Errorf("without a role: %v", err)
	}
	v := s.follow(t, kubernetes.Config{TokenFile: config.TokenFile})
	v.expect()
	const rbac = "/apis/rbac.authorization.k8s.io/v1/"
	s.must(http.MethodPost, rbac+"clusterroles", object{
		"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": object{"name": "reader"},
		"rules": []object{{"apiGroups": []string{"discovery.k8s.io"}, "resources": []string{"endpointslices"}, "verbs": []string{"list", "watch"}}},
	})
	s.must(http.MethodPost, rbac+"clusterrolebindings", object{
		"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": object{"name": "reader"},
		"roleRef":  object{"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "reader"},
		"subjects": []object{{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "viewer"}},
	})
	v.expect("films@10.0.0.1:8080")
}
