package service

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/backlot-video/backlot/kit/lifecycle"
	"github.com/backlot-video/backlot/kit/rpc"
	"github.com/backlot-video/backlot/proto/rpcdesc"
)

// parseParticipants reads `name=address,...`, where an address is host:port on
// this machine or unix:/path: calls there are not encrypted.
func parseParticipants(text string) (map[string][]rpc.Endpoint, error) {
	endpoints := make(map[string][]rpc.Endpoint)
	var faults []error
	for entry := range strings.SplitSeq(text, ",") {
		if entry == "" {
			continue
		}
		service, address, found := strings.Cut(entry, "=")
		if !found || service == "" || address == "" {
			faults = append(faults, fmt.Errorf("coordinator.participants: %q, want name=address", entry))
			continue
		}
		if !strings.HasPrefix(address, "unix:/") && !loopback(address) {
			faults = append(faults, fmt.Errorf("coordinator.participants: %s: %q is neither host:port on this machine nor unix:/path; "+
				"participants elsewhere are found by a configstore", service, address))
			continue
		}
		endpoints[service] = append(endpoints[service], rpc.Endpoint{Address: address})
	}
	return endpoints, errors.Join(faults...)
}

func loopback(address string) bool {
	host, port, err := net.SplitHostPort(address)
	if err != nil || port == "" {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// dialer reaches the participants of fixed addresses there, others as the host
// does. It is closed by stop.
func dialer(host *lifecycle.Host, fixed map[string][]rpc.Endpoint) (dial func(service string) rpcdesc.Conn, stop func() error) {
	if len(fixed) == 0 {
		return host.Dial, func() error { return nil }
	}
	own := rpc.NewDialer(rpc.ClientConfig{
		Service: name, Resolver: rpc.Static(fixed), Signer: host.Keys,
		Registerer: host.Registerer, Tracer: host.Tracer, Clock: host.Clock,
	})
	return func(service string) rpcdesc.Conn {
		if _, found := fixed[service]; found {
			return own.Conn(service)
		}
		return host.Dial(service)
	}, own.Close
}
