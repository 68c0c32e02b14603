package lifecycle

import (
	"context"

	"github.com/backlot-video/backlot/kit/rpc"
	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	"github.com/backlot-video/backlot/proto/rpcdesc"
)

// Replicas are the instances of the service that the register knows, and which
// of them this one is: the same one after a restart at the same address. It
// answers from memory. Without a register there are none.
func (h *Host) Replicas() (own string, all []string) {
	if h.rpcListener == nil {
		return "", nil
	}
	for _, object := range h.process.links.instances.List() {
		if i := object.Spec; i.GetService() == h.name && i.GetReady() {
			all = append(all, i.GetId())
		}
	}
	return h.process.links.instance(h).GetId(), all
}

// DialReplica returns calls to one instance of the service.
func (h *Host) DialReplica(id string) rpcdesc.Conn {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.replicas == nil {
		config := h.process.links.clientConfig(h.name, h.Tracer)
		config.Registerer = nil // the instances' names are no labels
		config.Resolver = rpc.ResolverFunc(h.replica)
		h.replicas = rpc.NewDialer(config)
		h.closers = append(h.closers, h.replicas.Close)
	}
	return h.replicas.Conn(id)
}

// replica is where an instance is.
func (h *Host) replica(id string) []rpc.Endpoint {
	for _, object := range h.process.links.instances.List() {
		if i := object.Spec; i.GetId() == id && i.GetReady() {
			return []rpc.Endpoint{{Address: i.GetAddress(), KitexAddress: i.GetKitexAddress(), TLS: i.GetTls()}}
		}
	}
	return nil
}

// DialInstances returns a function that gives calls to one instance of the
// service by its id, for the one service that need not ask the register:
// known reads it. own is the instance of this host; empty where it cannot be
// reached.
func (h *Host) DialInstances(known func(context.Context) []*configstorev1.Instance) (own string, dial func(id string) rpcdesc.Conn) {
	config := h.process.links.clientConfig(h.name, h.Tracer)
	config.Registerer = nil // the instances' names are no labels
	config.Resolver = rpc.ResolverFunc(func(id string) []rpc.Endpoint {
		for _, i := range known(context.Background()) {
			if i.GetId() == id {
				return []rpc.Endpoint{{Address: i.GetAddress(), KitexAddress: i.GetKitexAddress(), TLS: i.GetTls()}}
			}
		}
		return nil
	})
	dialer := rpc.NewDialer(config)
	h.onClose(dialer.Close)
	if h.rpcListener != nil {
		own = h.process.links.instance(h).GetId()
	}
	return own, dialer.Conn
}
