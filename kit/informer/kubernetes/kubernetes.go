// Package kubernetes is an informer's source of objects of a Kubernetes API
// server: it lists and watches one resource, in protobuf where the server
// has it and in JSON where it does not.
//
//	kubernetes.go  Source: List and Watch
//	resource.go    which resource, and the names of its fields
//	config.go      where the API server is: in the cluster, or by a URL; limits
//	request.go     requests, and the failures that answers tell of
//	frame.go       a body that is read piece by piece, and batches of objects
//	protobuf.go    lists and watches in protobuf
//	json.go        the same in JSON
//	typed.go       a Decoder of generated types, such as those of k8s.io/api
//	slice.go       a Decoder of EndpointSlices: instances of services
//
// What Config.Fields does not name is left out of an object before it is
// decoded. A Decoder may go further and fill a small struct of its own
// straight from the fields (package wire). It writes nothing, and does not
// depend on Kubernetes' own modules.
package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/backlot-video/backlot/kit/informer"
	"github.com/backlot-video/backlot/kit/informer/wire"
)

// IdleTimeout is for an informer.Config: longer than a watch may be silent,
// which is until the next bookmark, about a minute.
const IdleTimeout = 3 * time.Minute

const (
	// pageSize is how many objects a page of a list has.
	pageSize = 500
	// maxPage bounds a page in JSON, which is read as a whole.
	maxPage = 64 << 20
	// watchSeconds is how long the server keeps a watch open. It sends a
	// bookmark about once a minute.
	watchSeconds = 300
	// initialEventsEnd is the annotation of the bookmark after which a
	// streamed list is whole.
	initialEventsEnd = "k8s.io/initial-events-end"
)

// Source implements informer.Source. It is safe for concurrent use.
type Source struct {
	resource Resource
	config   Config
	mask     *wire.Mask // nil keeps all
	paged    atomic.Bool
}

var _ informer.Source = (*Source)(nil)

// New returns a source of a resource.
func New(resource Resource, config Config) (*Source, error) {
	if err := config.complete(); err != nil {
		return nil, err
	}
	s := &Source{resource: resource, config: config}
	s.paged.Store(config.Paged)
	if len(config.Fields) > 0 {
		mask, err := wire.CompileMask(resource.Schema, config.Fields...)
		if err != nil {
			return nil, fmt.Errorf("kubernetes: Fields of %s: %w", resource.Name, err)
		}
		s.mask = mask
	}
	return s, nil
}

// List implements informer.Source: as a stream of objects where the server
// does that (1.32 and later by default), else in pages. An empty namespace
// means all; the kind is the resource's, whatever is asked for.
func (s *Source) List(ctx context.Context, _, namespace string, deliver func([]informer.Item) error) (int64, error) {
	if !s.paged.Load() {
		revision, err := s.stream(ctx, namespace, deliver)
		if !errors.Is(err, errNoStream) {
			return revision, err
		}
		s.paged.Store(true)
	}
	return s.pages(ctx, namespace, deliver)
}

// errNoStream tells that the server does not list by streaming.
var errNoStream = errors.New("the server does not stream lists")

func (s *Source) stream(ctx context.Context, namespace string, deliver func([]informer.Item) error) (int64, error) {
	a, err := s.get(ctx, namespace, url.Values{
		"watch": {"1"}, "allowWatchBookmarks": {"true"}, "sendInitialEvents": {"true"},
		"resourceVersionMatch": {"NotOlderThan"}, "timeoutSeconds": {strconv.Itoa(watchSeconds)},
	})
	var refused *failure
	if errors.As(err, &refused) && (refused.status == http.StatusBadRequest || refused.status == http.StatusUnprocessableEntity ||
		refused.status == http.StatusMethodNotAllowed) {
		return 0, errors.Join(errNoStream, err)
	}
	if err != nil {
		return 0, err
	}
	defer a.close()
	listed := new(lister)
	err = a.watch(func(b *batch) error { return listed.take(b, deliver) })
	if errors.Is(err, errWhole) {
		return listed.revision, nil
	}
	return 0, fmt.Errorf("list of %s: %w", s.resource.Name, ended(err))
}

// errWhole ends the watch that a list is streamed by.
var errWhole = errors.New("list is whole")

// lister turns batches of a watch into items of a list.
type lister struct {
	items    []informer.Item
	revision int64
}

func (l *lister) take(b *batch, deliver func([]informer.Item) error) error {
	l.items = l.items[:0]
	for _, change := range b.changes {
		if change.Deleted {
			return errors.New("an object is deleted within it")
		}
		l.items = append(l.items, change.Item)
	}
	if err := deliver(l.items); err != nil {
		return err
	}
	clear(l.items)
	if b.whole {
		l.revision = b.revision
		return errWhole
	}
	return nil
}

func (s *Source) pages(ctx context.Context, namespace string, deliver func([]informer.Item) error) (int64, error) {
	query := url.Values{"limit": {strconv.Itoa(pageSize)}}
	for {
		end, err := s.page(ctx, namespace, query, deliver)
		if err != nil {
			return 0, err
		}
		if end.next == "" {
			return end.revision, nil
		}
		if end.items == 0 {
			return 0, fmt.Errorf("list of %s: an empty page has another one after it", s.resource.Name)
		}
		query.Set("continue", end.next)
	}
}

// page tells about a page of a list.
type page struct {
	revision int64
	next     string // token of the next page; empty: this is the last one
	items    int
}

func (s *Source) page(ctx context.Context, namespace string, query url.Values, deliver func([]informer.Item) error) (page, error) {
	a, err := s.get(ctx, namespace, query)
	if err != nil {
		return page{}, err
	}
	defer a.close()
	listed := new(lister)
	end, err := a.list(func(b *batch) error { return listed.take(b, deliver) })
	if err != nil {
		return page{}, fmt.Errorf("list of %s: %w", s.resource.Name, ended(err))
	}
	return end, nil
}

// Watch implements informer.Source.
func (s *Source) Watch(ctx context.Context, _, namespace string, from int64, deliver func(informer.Batch) error) error {
	a, err := s.get(ctx, namespace, url.Values{
		"watch": {"1"}, "allowWatchBookmarks": {"true"}, "resourceVersion": {strconv.FormatInt(from, 10)},
		"timeoutSeconds": {strconv.Itoa(watchSeconds)},
	})
	if err != nil {
		return err
	}
	defer a.close()
	err = a.watch(func(b *batch) error {
		return deliver(informer.Batch{Changes: b.changes, Revision: b.revision})
	})
	return fmt.Errorf("watch of %s: %w", s.resource.Name, errors.Join(err, context.Cause(ctx)))
}
