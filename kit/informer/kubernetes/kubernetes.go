// Package kubernetes is an informer's source of instances: it lists and watches
// the EndpointSlices of a Kubernetes cluster (discovery.k8s.io/v1) by its HTTP
// API, in JSON.
//
//	kubernetes.go  Source: list in pages, watch with bookmarks, 410 is "list again"
//	slice.go       an EndpointSlice, of which only what is needed is decoded
//	config.go      where the API server is: in the cluster, or by a URL
//
// An item is one EndpointSlice as a configstore.v1.InstanceSet. It writes
// nothing, and knows no other kind of object.
package kubernetes

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"google.golang.org/protobuf/proto"

	"github.com/backlot-video/backlot/kit/informer"
)

// Kind is what a Source gives, whatever it is asked for.
const Kind = "EndpointSlice"

const (
	pageSize = 500
	// maxSlices bounds a list.
	maxSlices = 200_000
	// maxPage bounds a page, and maxEvent one event of a watch.
	maxPage  = 64 << 20
	maxEvent = 4 << 20
	// watchSeconds is how long the server keeps a watch open.
	watchSeconds = 300
)

// Source implements informer.Source.
type Source struct{ config Config }

var _ informer.Source = (*Source)(nil)

// New returns a source.
func New(config Config) (*Source, error) {
	if err := config.complete(); err != nil {
		return nil, err
	}
	return &Source{config}, nil
}

// List implements informer.Source. An empty namespace means all.
func (s *Source) List(ctx context.Context, _, namespace string) ([]informer.Item, int64, error) {
	var items []informer.Item
	query := url.Values{"limit": {strconv.Itoa(pageSize)}}
	for {
		body, err := s.get(ctx, namespace, query)
		if err != nil {
			return nil, 0, err
		}
		var page list
		err = json.NewDecoder(io.LimitReader(body, maxPage)).Decode(&page)
		body.Close()
		if err != nil {
			return nil, 0, fmt.Errorf("list of endpoint slices: %w", err)
		}
		for n := range page.Items {
			item, err := s.item(&page.Items[n])
			if err != nil {
				return nil, 0, err
			}
			items = append(items, item)
		}
		if len(items) > maxSlices || len(page.Items) == 0 && page.Metadata.Continue != "" {
			return nil, 0, fmt.Errorf("list of endpoint slices: it does not end within %d", maxSlices)
		}
		if page.Metadata.Continue == "" {
			revision, err := page.Metadata.revision()
			return items, revision, err
		}
		query.Set("continue", page.Metadata.Continue)
	}
}

// Watch implements informer.Source.
func (s *Source) Watch(ctx context.Context, _, namespace string, from int64, deliver func(informer.Batch) error) error {
	body, err := s.get(ctx, namespace, url.Values{
		"watch": {"1"}, "allowWatchBookmarks": {"true"}, "resourceVersion": {strconv.FormatInt(from, 10)},
		"timeoutSeconds": {strconv.Itoa(watchSeconds)},
	})
	if err != nil {
		return err
	}
	defer body.Close()
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, maxEvent)
	for lines.Scan() {
		batch, err := s.batch(lines.Bytes())
		if err != nil {
			return err
		}
		if err := deliver(batch); err != nil {
			return err
		}
	}
	if err := errors.Join(lines.Err(), context.Cause(ctx)); err != nil {
		return fmt.Errorf("watch of endpoint slices: %w", err)
	}
	return errors.New("watch of endpoint slices: the server ended it")
}

// batch reads one event.
func (s *Source) batch(line []byte) (informer.Batch, error) {
	var e event
	if err := json.Unmarshal(line, &e); err != nil {
		return informer.Batch{}, fmt.Errorf("event of endpoint slices: %w", err)
	}
	switch e.Type {
	case "ERROR":
		return informer.Batch{}, e.Object.failure()
	case "BOOKMARK", "ADDED", "MODIFIED", "DELETED":
	default:
		return informer.Batch{}, fmt.Errorf("event of endpoint slices: type %q is not known", e.Type)
	}
	revision, err := e.Object.Metadata.revision()
	if err != nil || e.Type == "BOOKMARK" {
		return informer.Batch{Revision: revision}, err
	}
	item, err := s.item(&e.Object.slice)
	return informer.Batch{Changes: []informer.Change{{Item: item, Deleted: e.Type == "DELETED"}}, Revision: revision}, err
}

func (s *Source) item(of *slice) (informer.Item, error) {
	revision, err := of.Metadata.revision()
	if err != nil {
		return informer.Item{}, err
	}
	spec, err := proto.Marshal(of.instances(s.config.ServiceLabel))
	return informer.Item{Namespace: of.Metadata.Namespace, Name: of.Metadata.Name, Spec: spec, Revision: revision}, err
}

// get asks for the slices of a namespace. The caller closes the body.
func (s *Source) get(ctx context.Context, namespace string, query url.Values) (io.ReadCloser, error) {
	path := "/apis/discovery.k8s.io/v1/endpointslices"
	if namespace != "" {
		path = "/apis/discovery.k8s.io/v1/namespaces/" + url.PathEscape(namespace) + "/endpointslices"
	}
	if s.config.Selector != "" {
		query.Set("labelSelector", s.config.Selector)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.config.URL+path+"?"+query.Encode(), nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", "application/json")
	token, err := s.config.token()
	if err != nil {
		return nil, err
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := s.config.HTTP.Do(request)
	if err != nil {
		return nil, err
	}
	if response.StatusCode == http.StatusOK {
		return response.Body, nil
	}
	defer response.Body.Close()
	failed := object{Code: response.StatusCode}
	_ = json.NewDecoder(io.LimitReader(response.Body, 64<<10)).Decode(&failed) // the status says enough
	return nil, failed.failure()
}
