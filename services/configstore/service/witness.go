package service

import (
	"context"
	"slices"

	"github.com/backlot-video/backlot/kit/identity"
	"github.com/backlot-video/backlot/kit/lifecycle"
	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	"github.com/backlot-video/backlot/services/configstore/internal/ack"
	"github.com/backlot-video/backlot/services/configstore/internal/api"
	"github.com/backlot-video/backlot/services/configstore/internal/canary"
	"github.com/backlot-video/backlot/services/configstore/internal/engine"
	"github.com/backlot-video/backlot/services/configstore/internal/object"
	"github.com/backlot-video/backlot/services/configstore/internal/store"
	"github.com/backlot-video/backlot/services/configstore/internal/xds"
)

// serveCanaries serves what instances acknowledge and the canaries that are
// judged by it, until ctx ends; landed waits for that.
func (s *Service) serveCanaries(
	ctx context.Context, host *lifecycle.Host, etcd *engine.Engine, objects *store.Store, plane *xds.Plane,
) (landed func()) {
	seen := witness(host, etcd.Members, objects, plane)
	pilot := canary.NewPilot(canary.Config{
		Store: objects, Leads: etcd.Leads, Reports: seen.Entries, Clock: host.Clock, Log: host.Log, Registerer: host.Registerer,
	})
	flying := make(chan error, 1)
	go func() { flying <- pilot.Run(ctx) }()
	host.Handle(configstorev1.AcknowledgementServiceDesc, api.NewAcknowledgements(objects, seen))
	host.Handle(configstorev1.CanaryServiceDesc, api.NewCanaries(objects, pilot, s.config.Approvals))
	return func() { <-flying }
}

// witness is what this member and the others know of instances.
func witness(host *lifecycle.Host, members func() int, objects *store.Store, plane *xds.Plane) api.Witness {
	others := func(ctx context.Context) []*configstorev1.Instance {
		if members() < 2 {
			return nil
		}
		return registered(ctx, host, objects)
	}
	own, dial := host.DialInstances(others)
	return api.Witness{
		Book: ack.NewBook(host.Clock, host.Registerer), Nodes: plane.Nodes, Clock: host.Clock,
		Peers: func(ctx context.Context) []api.Peer {
			var peers []api.Peer
			for _, i := range others(ctx) {
				if i.GetId() != own {
					client := configstorev1.NewAcknowledgementServiceClient(dial(i.GetId()))
					peers = append(peers, api.Peer{ID: i.GetId(), Reports: client.ListReports})
				}
			}
			return peers
		},
	}
}

// registered are the members that are in the register, which is in the store.
func registered(ctx context.Context, host *lifecycle.Host, objects *store.Store) []*configstorev1.Instance {
	found, _, err := objects.List(ctx, identity.DefaultTenant, object.InstanceKind, "")
	if err != nil {
		host.Log.Warn("other members are not known", "err", err)
		return nil
	}
	var all []*configstorev1.Instance
	for _, o := range found {
		i := new(configstorev1.Instance)
		if o.GetSpec().UnmarshalTo(i) == nil && i.GetService() == name && i.GetReady() {
			all = append(all, i)
		}
	}
	return slices.Clip(all)
}
