// Package api serves the gateway's own contract.
package api

import (
	"context"

	gatewayv1 "github.com/backlot-video/backlot/proto/gen/backlot/gateway/v1"
	"github.com/backlot-video/backlot/services/gateway/internal/edge"
	"github.com/backlot-video/backlot/services/gateway/internal/xds"
)

// Status implements gatewayv1.GatewayServiceServer.
type Status struct {
	// Current is the configuration in force, nil before the first.
	Current func() *edge.Config
	// Client is where the client of the control plane is.
	Client func() xds.Status
	Node   string // id of this gateway at the control plane
}

var _ gatewayv1.GatewayServiceServer = (*Status)(nil)

// GetStatus implements the contract.
func (s *Status) GetStatus(context.Context, *gatewayv1.GetStatusRequest) (*gatewayv1.GetStatusResponse, error) {
	client := s.Client()
	response := &gatewayv1.GetStatusResponse{
		Rejected: client.Rejected, Versions: client.Versions, Connected: client.Connected, NodeId: s.Node,
	}
	if config := s.Current(); config != nil {
		routes, endpoints := config.Counts()
		response.ReleaseId = config.Release
		response.Routes, response.Clusters = uint32(routes), uint32(len(config.Clusters))
		response.Endpoints = uint32(endpoints)
	}
	return response, nil
}
