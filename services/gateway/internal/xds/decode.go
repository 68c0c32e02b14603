package xds

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	rbacv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/rbac/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"

	gatewayv1 "github.com/backlot-video/backlot/proto/gen/backlot/gateway/v1"
	"github.com/backlot-video/backlot/services/gateway/internal/edge"
)

// Names of our typed extensions.
const (
	identityFilter   = "backlot.gateway.identity"
	policyFilter     = "backlot.gateway.policy"
	targetMetadata   = "backlot.gateway.target"
	instanceMetadata = "backlot.gateway.instance"
	clusterMetadata  = "backlot.gateway.cluster"
	listenerMetadata = "backlot.gateway.listener"
)

// Names of Envoy's filters that are understood.
const (
	routerFilter    = "envoy.filters.http.router"
	corsFilter      = "envoy.filters.http.cors"
	rbacFilter      = "envoy.filters.http.rbac"
	rateLimitFilter = "envoy.filters.http.local_ratelimit"
)

// publicPrefix begins the names of listeners that are objects.
const publicPrefix = "listener/"

// front is what a listener says beside its address.
type front struct {
	routes   string // name of the route configuration
	identity *gatewayv1.EdgeIdentity
}

// decodeListener reads a listener with an address of its own; that of the edge
// is told by the gateway's settings.
func decodeListener(l *listenerv3.Listener) (listener edge.Listener, f front, err error) {
	if err := only(l, "name address filter_chains stat_prefix metadata"); err != nil {
		return listener, f, err
	}
	if len(l.GetFilterChains()) != 1 {
		return listener, f, fmt.Errorf("filter_chains: %d, must be one", len(l.GetFilterChains()))
	}
	chain := l.GetFilterChains()[0]
	if err := only(chain, "name filters transport_socket"); err != nil {
		return listener, f, err
	}
	listener.Name = strings.TrimPrefix(l.GetName(), publicPrefix)
	if l.GetName() != edgeName {
		if listener.Address, err = socketAddress(l.GetAddress()); err != nil {
			return listener, f, fmt.Errorf("address: %w", err)
		}
	}
	if listener.TLS, err = downstreamTLS(chain.GetTransportSocket()); err != nil {
		return listener, f, fmt.Errorf("transport_socket: %w", err)
	}
	if err := listenerExtension(l, &listener); err != nil {
		return listener, f, err
	}
	f, err = decodeFront(chain)
	return listener, f, err
}

// listenerExtension reads what Envoy's listeners have a listener of their own
// for.
func listenerExtension(l *listenerv3.Listener, listener *edge.Listener) error {
	packed, found := l.GetMetadata().GetTypedFilterMetadata()[listenerMetadata]
	if !found {
		return nil
	}
	extension := new(gatewayv1.ListenerExtension)
	if err := unpack(packed, extension, "http3"); err != nil {
		return fmt.Errorf("metadata %s: %w", listenerMetadata, err)
	}
	if !extension.GetHttp3() {
		return nil
	}
	if listener.TLS == nil {
		return fmt.Errorf("metadata %s: http3 needs TLS", listenerMetadata)
	}
	listener.TLS.HTTP3 = true
	return nil
}

func socketAddress(address *corev3.Address) (string, error) {
	socket := address.GetSocketAddress()
	if socket == nil {
		return "", errors.New("is no socket address")
	}
	if err := only(socket, "address port_value protocol"); err != nil {
		return "", err
	}
	if _, err := netip.ParseAddr(socket.GetAddress()); err != nil || socket.GetProtocol() != corev3.SocketAddress_TCP {
		return "", fmt.Errorf("%q is no IP address of TCP", socket.GetAddress())
	}
	return joinHostPort(socket.GetAddress(), strconv.FormatUint(uint64(socket.GetPortValue()), 10)), nil
}

func decodeFront(chain *listenerv3.FilterChain) (f front, err error) {
	if len(chain.GetFilters()) != 1 {
		return f, fmt.Errorf("filters: %d, must be one HTTP connection manager", len(chain.GetFilters()))
	}
	m := new(hcmv3.HttpConnectionManager)
	err = unpack(chain.GetFilters()[0].GetTypedConfig(), m,
		"codec_type stat_prefix rds http_filters upgrade_configs normalize_path merge_slashes") //nolint:misspell // Envoy's spelling
	if err != nil {
		return f, fmt.Errorf("HTTP connection manager: %w", err)
	}
	f.routes = m.GetRds().GetRouteConfigName()
	for _, upgrade := range m.GetUpgradeConfigs() {
		if upgrade.GetUpgradeType() != "websocket" {
			return f, fmt.Errorf("upgrade_configs: %q is not supported", upgrade.GetUpgradeType())
		}
	}
	f.identity = new(gatewayv1.EdgeIdentity)
	for _, filter := range m.GetHttpFilters() {
		if err := decodeHTTPFilter(filter, f.identity); err != nil {
			return f, fmt.Errorf("filter %s: %w", filter.GetName(), err)
		}
	}
	return f, nil
}

func decodeHTTPFilter(filter *hcmv3.HttpFilter, identity *gatewayv1.EdgeIdentity) error {
	switch filter.GetName() {
	case identityFilter:
		return filter.GetTypedConfig().UnmarshalTo(identity)
	case routerFilter, corsFilter, rateLimitFilter:
		return nil
	case rbacFilter:
		return unpack(filter.GetTypedConfig(), new(rbacv3.RBAC), "")
	}
	if filter.GetIsOptional() {
		return nil
	}
	return errors.New("is not supported, and not optional")
}

// downstreamTLS is nil without a transport socket.
func downstreamTLS(socket *corev3.TransportSocket) (*edge.ListenerTLS, error) {
	if socket == nil {
		return nil, nil //nolint:nilnil // a listener without TLS
	}
	context := new(tlsv3.DownstreamTlsContext)
	if err := unpack(socket.GetTypedConfig(), context, "common_tls_context require_client_certificate"); err != nil {
		return nil, err
	}
	common := context.GetCommonTlsContext()
	err := only(common, "alpn_protocols tls_certificate_sds_secret_configs validation_context_sds_secret_config")
	if err != nil {
		return nil, err
	}
	settings := &edge.ListenerTLS{
		ClientCA: common.GetValidationContextSdsSecretConfig().GetName(), RequireClient: context.GetRequireClientCertificate().GetValue(),
	}
	for _, one := range common.GetTlsCertificateSdsSecretConfigs() {
		settings.Certificates = append(settings.Certificates, one.GetName())
	}
	return settings, nil
}

func joinHostPort(host, port string) string {
	if strings.Contains(host, ":") {
		return "[" + host + "]:" + port
	}
	return host + ":" + port
}
