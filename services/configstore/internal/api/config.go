// Package api serves the store by the contracts of configstore.v1.
//
//	config.go    ConfigService
//	batch.go     BatchService
//	registry.go  RegistryService
//	draft.go     DraftService
//	acknowledgement.go  AcknowledgementService; what members know of instances
//	canary.go    CanaryService
//	gate.go      what grants let operators do
//	secret.go    what readers see of secrets
//	cluster.go   ClusterService
//	errors.go    errors of the domain to codes
//
// The caller's principal gives tenant and author. Access and the requests' own
// rules are checked before.
package api

import (
	"context"
	"errors"
	"strings"

	"connectrpc.com/connect"

	"github.com/backlot-video/backlot/kit/identity"
	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	"github.com/backlot-video/backlot/services/configstore/internal/access"
	"github.com/backlot-video/backlot/services/configstore/internal/object"
	"github.com/backlot-video/backlot/services/configstore/internal/store"
)

// defaultPageSize is that of ListReleases.
const defaultPageSize = 50

// defaultVersions is that of GetHistory.
const defaultVersions = 20

// errReviewed is what operators get who release past the reviews.
var errReviewed = errors.New("releases by people go through drafts here: make one (`backlot config apply --draft`) and have it approved")

// Config serves configstore.v1.ConfigService.
type Config struct {
	store    *store.Store
	reviewed bool
}

// NewConfig returns the service over a store. reviewed keeps operators from
// releasing what nobody reviewed; a rollback they may always make.
func NewConfig(s *store.Store, reviewed bool) *Config { return &Config{s, reviewed} }

// RegisterKind implements ConfigServiceServer.
func (c *Config) RegisterKind(ctx context.Context, request *configstorev1.RegisterKindRequest) (*configstorev1.RegisterKindResponse, error) {
	kind := request.GetKind()
	if err := c.store.RegisterKind(ctx, kind.GetName(), kind.GetMessage(), kind.GetDescriptors()); err != nil {
		return nil, coded(err)
	}
	return &configstorev1.RegisterKindResponse{}, nil
}

// ListKinds implements ConfigServiceServer.
func (c *Config) ListKinds(context.Context, *configstorev1.ListKindsRequest) (*configstorev1.ListKindsResponse, error) {
	response := new(configstorev1.ListKindsResponse)
	for _, kind := range c.store.Kinds() {
		set, err := kind.Descriptors()
		if err != nil {
			return nil, coded(err)
		}
		response.Kinds = append(response.Kinds, &configstorev1.Kind{
			Name: kind.Name, Message: string(kind.Message), Descriptors: set,
		})
	}
	return response, nil
}

// Apply implements ConfigServiceServer.
func (c *Config) Apply(ctx context.Context, request *configstorev1.ApplyRequest) (*configstorev1.ApplyResponse, error) {
	if err := c.mayApply(ctx, request); err != nil {
		return nil, coded(err)
	}
	result, err := c.store.Apply(ctx, releaseOf(ctx, request))
	return c.applied(store.Outcome{Result: result, Err: err})
}

// applyEach is Apply of several requests, each with a context of its own.
func (c *Config) applyEach(contexts []context.Context, requests []*configstorev1.ApplyRequest, answer func(n int, response *configstorev1.ApplyResponse, err error)) {
	allowed := make([]int, 0, len(requests))
	under := make([]context.Context, 0, len(requests))
	releases := make([]store.Request, 0, len(requests))
	for n, request := range requests {
		if err := c.mayApply(contexts[n], request); err != nil {
			answer(n, nil, coded(err))
			continue
		}
		allowed, under, releases = append(allowed, n), append(under, contexts[n]), append(releases, releaseOf(contexts[n], request))
	}
	for n, out := range c.store.ApplyEach(under, releases) {
		response, err := c.applied(out)
		answer(allowed[n], response, err)
	}
}

// mayApply tells whether the caller may release this.
func (c *Config) mayApply(ctx context.Context, request *configstorev1.ApplyRequest) error {
	if p, found := identity.From(ctx); c.reviewed && !request.GetDryRun() && found && p.Kind == identity.Operator {
		return connect.NewError(connect.CodeFailedPrecondition, errReviewed)
	}
	return c.gate().changes(ctx, access.Write, request.GetChanges())
}

func releaseOf(ctx context.Context, request *configstorev1.ApplyRequest) store.Request {
	return store.Request{
		Tenant:  tenant(ctx),
		Author:  author(ctx),
		Reason:  request.GetReason(),
		Changes: request.GetChanges(),
		DryRun:  request.GetDryRun(),
		ID:      request.GetRequestId(),
	}
}

func (c *Config) applied(out store.Outcome) (*configstorev1.ApplyResponse, error) {
	if out.Err != nil {
		return nil, coded(out.Err)
	}
	return &configstorev1.ApplyResponse{Release: out.Result.Release, Objects: c.show().objects(out.Result.Objects)}, nil
}

// Get implements ConfigServiceServer.
func (c *Config) Get(ctx context.Context, request *configstorev1.GetRequest) (*configstorev1.GetResponse, error) {
	if err := c.gate().check(ctx, access.Read, wanted{"key", keyOf(ctx, request.GetKey())}); err != nil {
		return nil, coded(err)
	}
	var found *configstorev1.Object
	var err error
	switch key, at := keyOf(ctx, request.GetKey()), request.GetRevision(); {
	case at > 0:
		found, err = c.store.GetAt(ctx, key, at)
	case request.GetSubscriber() != nil:
		found, err = c.store.GetFor(ctx, request.GetSubscriber(), key)
	default:
		found, err = c.store.Get(ctx, key)
	}
	if err != nil {
		return nil, coded(err)
	}
	return &configstorev1.GetResponse{Object: c.show().object(found)}, nil
}

// getEach is Get of several requests. What no grant has to be asked for is read
// together.
func (c *Config) getEach(ctx context.Context, requests []*configstorev1.GetRequest, answer func(n int, response *configstorev1.GetResponse, err error)) {
	_, bound := operator(ctx)
	together := make([]int, 0, len(requests))
	keys := make([]object.Key, 0, len(requests))
	for n, request := range requests {
		if bound || request.GetRevision() > 0 || request.GetSubscriber() != nil {
			response, err := c.Get(ctx, request)
			answer(n, response, err)
			continue
		}
		together, keys = append(together, n), append(keys, keyOf(ctx, request.GetKey()))
	}
	for at, found := range c.store.GetEach(ctx, keys) {
		if found.Err != nil {
			answer(together[at], nil, coded(found.Err))
			continue
		}
		answer(together[at], &configstorev1.GetResponse{Object: c.show().object(found.Object)}, nil)
	}
}

func (c *Config) gate() gate { return gate{c.store} }

func (c *Config) show() shower { return shower{c.store} }

func keyOf(ctx context.Context, key *configstorev1.Key) object.Key {
	return object.Key{Tenant: tenant(ctx), Kind: key.GetKind(), Namespace: key.GetNamespace(), Name: key.GetName()}
}

// GetHistory implements ConfigServiceServer.
func (c *Config) GetHistory(ctx context.Context, request *configstorev1.GetHistoryRequest) (*configstorev1.GetHistoryResponse, error) {
	limit := int(request.GetLimit())
	if limit == 0 {
		limit = defaultVersions
	}
	if err := c.gate().check(ctx, access.Read, wanted{"key", keyOf(ctx, request.GetKey())}); err != nil {
		return nil, coded(err)
	}
	versions, truncated, err := c.store.History(ctx, keyOf(ctx, request.GetKey()), limit)
	if err != nil {
		return nil, coded(err)
	}
	for _, version := range versions {
		version.Object = c.show().object(version.GetObject())
	}
	return &configstorev1.GetHistoryResponse{Versions: versions, Truncated: truncated}, nil
}

// Rollback implements ConfigServiceServer.
func (c *Config) Rollback(ctx context.Context, request *configstorev1.RollbackRequest) (*configstorev1.RollbackResponse, error) {
	undo := store.Rollback{
		Tenant: tenant(ctx), Author: author(ctx), Reason: request.GetReason(), ReleaseID: request.GetReleaseId(),
		OverLater: request.GetOverLater(), DryRun: request.GetDryRun(), ID: request.GetRequestId(),
	}
	if at := request.GetObject(); at != nil {
		undo.Key, undo.Revision = keyOf(ctx, at.GetKey()), at.GetRevision()
	}
	result, err := c.rollback(ctx, undo)
	if err != nil {
		return nil, coded(err)
	}
	return &configstorev1.RollbackResponse{Release: result.Release, Objects: c.show().objects(result.Objects)}, nil
}

// rollback tries first what it would change, which the grants have to allow.
func (c *Config) rollback(ctx context.Context, undo store.Rollback) (store.Result, error) {
	if _, bound := operator(ctx); bound {
		trial := undo
		trial.DryRun = true
		result, err := c.store.Rollback(ctx, trial)
		if err != nil {
			return store.Result{}, err
		}
		if err := c.gate().check(ctx, access.Write, wantedKeys(ctx, "release.keys", result.Release.GetKeys())...); err != nil {
			return store.Result{}, err
		}
	}
	return c.store.Rollback(ctx, undo)
}

// List implements ConfigServiceServer.
func (c *Config) List(ctx context.Context, request *configstorev1.ListRequest) (*configstorev1.ListResponse, error) {
	objects, revision, err := c.store.ListFor(ctx, request.GetSubscriber(), tenant(ctx), request.GetKind(), request.GetNamespace())
	if err != nil {
		return nil, coded(err)
	}
	objects, err = readable(ctx, c.gate(), objects, (*configstorev1.Object).GetKey)
	if err != nil {
		return nil, coded(err)
	}
	return &configstorev1.ListResponse{Objects: c.show().objects(objects), Revision: revision}, nil
}

// Watch implements ConfigServiceStreamServer.
func (c *Config) Watch(
	ctx context.Context, request *configstorev1.WatchRequest, stream *connect.ServerStream[configstorev1.WatchResponse],
) error {
	subscribe := c.store.Subscribe
	if request.GetLatest() {
		subscribe = c.store.SubscribeLatest
	}
	sub, err := subscribe(ctx, tenant(ctx), request.GetKind(), request.GetNamespace(), request.GetFromRevision())
	if err != nil {
		return coded(err)
	}
	defer sub.Close()
	sub = c.store.For(ctx, sub, request.GetSubscriber())
	// Headers at once: the caller learns that the watch stands.
	if err := stream.Send(&configstorev1.WatchResponse{Revision: request.GetFromRevision()}); err != nil {
		return err
	}
	for {
		batch, err := sub.Next()
		if err != nil {
			return coded(err)
		}
		events, err := readable(ctx, c.gate(), batch.Events, func(e *configstorev1.Event) *configstorev1.Key { return e.GetObject().GetKey() })
		if err != nil {
			return coded(err)
		}
		if err := stream.Send(&configstorev1.WatchResponse{Events: c.show().events(events), Revision: batch.Revision, Reset_: batch.Reset}); err != nil {
			return err
		}
	}
}

// ListReleases implements ConfigServiceServer.
func (c *Config) ListReleases(ctx context.Context, request *configstorev1.ListReleasesRequest) (*configstorev1.ListReleasesResponse, error) {
	size := int(request.GetPageSize())
	if size == 0 {
		size = defaultPageSize
	}
	releases, more, err := c.store.Releases(ctx, tenant(ctx), request.GetPageToken(), size)
	if err != nil {
		return nil, coded(err)
	}
	response := &configstorev1.ListReleasesResponse{}
	for _, release := range releases {
		// Of a release the caller sees the objects that it may read.
		keys, err := readable(ctx, c.gate(), release.GetKeys(), func(key *configstorev1.Key) *configstorev1.Key { return key })
		if err != nil {
			return nil, coded(err)
		}
		if len(keys) > 0 {
			release.Keys = keys
			response.Releases = append(response.Releases, release)
		}
	}
	if more {
		response.NextPageToken = releases[len(releases)-1].GetId()
	}
	return response, nil
}

func tenant(ctx context.Context) string {
	if p, found := identity.From(ctx); found && p.TenantID != "" {
		return p.TenantID
	}
	return identity.DefaultTenant
}

// author is `operator/<id>`.
func author(ctx context.Context) string {
	p, found := identity.From(ctx)
	if !found {
		return ""
	}
	kind := strings.ToLower(strings.TrimPrefix(p.Kind.String(), "PRINCIPAL_"))
	return kind + "/" + p.ID
}
