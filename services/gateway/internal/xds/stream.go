package xds

import (
	"context"
	"fmt"
	"slices"

	"connectrpc.com/connect"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	statusv3 "google.golang.org/genproto/googleapis/rpc/status"
)

const (
	procedure      = "/envoy.service.discovery.v3.AggregatedDiscoveryService/"
	stateProcedure = procedure + "StreamAggregatedResources"
	deltaProcedure = procedure + "DeltaAggregatedResources"
	// maxMessage bounds one response.
	maxMessage = 64 << 20
	// maxReason bounds what the control plane is told of a fault.
	maxReason = 4 << 10
)

// attend works through one stream.
func (c *Client) attend(ctx context.Context) error {
	if c.plain {
		return converse(ctx, c, stateProcedure, c.follow.askState, c.follow.takeState)
	}
	return converse(ctx, c, deltaProcedure, c.follow.askDelta, c.follow.takeDelta)
}

// converse subscribes to all types, and answers every response.
func converse[Req, Res any](
	ctx context.Context, c *Client, path string, ask func(kind string) *Req, take func(*Res) *Req,
) error {
	ctx, cancel := context.WithCancel(ctx)
	client := connect.NewClient[Req, Res](c.config.HTTP, c.config.BaseURL+path, connect.WithGRPC(), connect.WithReadMaxBytes(maxMessage))
	stream := client.CallBidiStream(ctx)
	defer func() { _ = stream.CloseResponse() }()
	// The transport sees the end of ctx only when it is given something to
	// send, or the end of what is sent.
	unblock := context.AfterFunc(ctx, func() { _ = stream.CloseRequest() })
	defer unblock()
	defer cancel()

	for _, kind := range types {
		if err := stream.Send(ask(kind)); err != nil {
			_, err = stream.Receive() // says why
			return err
		}
	}
	for {
		response, err := stream.Receive()
		if err != nil {
			return err
		}
		c.connected(true)
		if err := stream.Send(take(response)); err != nil {
			return err
		}
	}
}

// askDelta subscribes to all resources of a type, and tells which ones are
// here.
func (f *follower) askDelta(kind string) *discoveryv3.DeltaDiscoveryRequest {
	request := &discoveryv3.DeltaDiscoveryRequest{
		TypeUrl: kind, Node: f.client.config.Node, ResourceNamesSubscribe: []string{"*"},
		InitialResourceVersions: make(map[string]string),
	}
	for name, r := range f.received.resources[kind] {
		if r.version != "" {
			request.InitialResourceVersions[name] = r.version
		}
	}
	return request
}

func (f *follower) takeDelta(response *discoveryv3.DeltaDiscoveryResponse) *discoveryv3.DeltaDiscoveryRequest {
	answer := &discoveryv3.DeltaDiscoveryRequest{TypeUrl: response.GetTypeUrl(), ResponseNonce: response.GetNonce()}
	u := &update{
		kind: response.GetTypeUrl(), version: response.GetSystemVersionInfo(), removed: response.GetRemovedResources(),
		put: make(map[string]*resource, len(response.GetResources())),
	}
	answer.ErrorDetail = f.answer(u, func() error {
		for _, r := range response.GetResources() {
			if err := u.add(r.GetName(), r.GetVersion(), r.GetResource()); err != nil {
				return err
			}
		}
		return nil
	})
	return answer
}

// askState subscribes to all resources of a type.
func (f *follower) askState(kind string) *discoveryv3.DiscoveryRequest {
	return &discoveryv3.DiscoveryRequest{TypeUrl: kind, Node: f.client.config.Node, ResourceNames: []string{"*"}}
}

func (f *follower) takeState(response *discoveryv3.DiscoveryResponse) *discoveryv3.DiscoveryRequest {
	kind := response.GetTypeUrl()
	answer := &discoveryv3.DiscoveryRequest{
		TypeUrl: kind, VersionInfo: f.received.versions[kind], ResponseNonce: response.GetNonce(), ResourceNames: []string{"*"},
	}
	u := &update{
		kind: kind, version: response.GetVersionInfo(), whole: kind == clusterType || kind == listenerType,
		put: make(map[string]*resource, len(response.GetResources())),
	}
	answer.ErrorDetail = f.answer(u, func() error {
		for _, body := range response.GetResources() {
			if err := u.add("", "", body); err != nil {
				return err
			}
		}
		return nil
	})
	if answer.ErrorDetail == nil {
		answer.VersionInfo = response.GetVersionInfo()
	}
	return answer
}

// answer takes an update when its resources can be decoded, and tells the
// reason to refuse it.
func (f *follower) answer(u *update, read func() error) *statusv3.Status {
	var err error
	if !slices.Contains(types, u.kind) {
		err = fmt.Errorf("type %q was not asked for", u.kind)
	} else if err = read(); err == nil {
		err = f.take(u)
	} else {
		f.reject(err)
		f.client.note(f.received.versions, f.fault)
	}
	if err == nil {
		return nil
	}
	reason := err.Error()
	if len(reason) > maxReason {
		reason = reason[:maxReason]
	}
	return &statusv3.Status{Code: int32(connect.CodeInvalidArgument), Message: reason}
}
