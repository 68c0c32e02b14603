package api

import (
	"context"

	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	"github.com/backlot-video/backlot/services/configstore/internal/store"
)

// defaultLeaseSeconds is the lease where none is asked for.
const defaultLeaseSeconds = 15

// Registry serves configstore.v1.RegistryService.
type Registry struct{ store *store.Store }

// NewRegistry returns the service over a store.
func NewRegistry(s *store.Store) *Registry { return &Registry{s} }

// Register implements RegistryServiceServer.
func (r *Registry) Register(ctx context.Context, request *configstorev1.RegisterRequest) (*configstorev1.RegisterResponse, error) {
	seconds := int64(request.GetLeaseSeconds())
	if seconds == 0 {
		seconds = defaultLeaseSeconds
	}
	revision, err := r.store.Register(ctx, tenant(ctx), request.GetInstance(), seconds)
	if err != nil {
		return nil, coded(err)
	}
	return &configstorev1.RegisterResponse{Revision: revision}, nil
}

// Deregister implements RegistryServiceServer.
func (r *Registry) Deregister(ctx context.Context, request *configstorev1.DeregisterRequest) (*configstorev1.DeregisterResponse, error) {
	if err := r.store.Deregister(ctx, tenant(ctx), request.GetId()); err != nil {
		return nil, coded(err)
	}
	return &configstorev1.DeregisterResponse{}, nil
}
