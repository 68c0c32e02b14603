package xds

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	upstreamv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	gatewayv1 "github.com/backlot-video/backlot/proto/gen/backlot/gateway/v1"
	"github.com/backlot-video/backlot/services/gateway/internal/edge"
)

const (
	httpOptions    = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
	longestConnect = time.Minute
	defaultPanic   = 0.5
	// neverPanic is a share of healthy endpoints that none is below.
	neverPanic = 1e-9
)

func decodeCluster(c *clusterv3.Cluster, endpoints *endpointv3.ClusterLoadAssignment) (edge.Cluster, error) {
	cluster := edge.Cluster{
		Name: c.GetName(), ConnectTimeout: edge.DefaultConnectTimeout, PanicThreshold: defaultPanic,
		MaxConnections: edge.DefaultMaxConnections, MaxPending: edge.DefaultMaxPending,
		MaxRequests: edge.DefaultMaxRequests, MaxRetries: edge.DefaultMaxRetries, RetryBudget: edge.DefaultRetryBudget,
		Pool: edge.Pool{MaxIdle: edge.DefaultMaxIdle, IdleTimeout: edge.DefaultPoolIdle, TLSHandshake: edge.DefaultTLSHandshake},
	}
	err := only(c, "name type eds_cluster_config load_assignment connect_timeout lb_policy least_request_lb_config ring_hash_lb_config "+
		"circuit_breakers outlier_detection health_checks common_lb_config typed_extension_protocol_options transport_socket metadata alt_stat_name")
	if err != nil {
		return cluster, err
	}
	if d := c.GetConnectTimeout(); d != nil && d.AsDuration() > 0 {
		cluster.ConnectTimeout = min(d.AsDuration(), longestConnect)
	}
	for _, decode := range []func(*clusterv3.Cluster, *edge.Cluster) error{
		decodeBalance, decodeBreakers, decodeOutlier, decodeHealth, decodeProtocol, upstreamTLS, decodeExtension,
	} {
		if err := decode(c, &cluster); err != nil {
			return cluster, err
		}
	}
	cluster.Endpoints, err = decodeEndpoints(endpoints)
	return cluster, err
}

func decodeBalance(c *clusterv3.Cluster, cluster *edge.Cluster) error {
	switch c.GetLbPolicy() {
	case clusterv3.Cluster_LEAST_REQUEST:
		cluster.Balance = edge.LeastRequest
	case clusterv3.Cluster_ROUND_ROBIN:
		cluster.Balance = edge.RoundRobin
	case clusterv3.Cluster_RING_HASH:
		cluster.Balance = edge.RingHash
	case clusterv3.Cluster_RANDOM:
		cluster.Balance = edge.Random
	default:
		return fmt.Errorf("lb_policy %v is not supported", c.GetLbPolicy())
	}
	if threshold := c.GetCommonLbConfig().GetHealthyPanicThreshold(); threshold != nil {
		cluster.PanicThreshold = max(share(threshold.GetValue()), neverPanic)
	}
	return first(
		only(c.GetCommonLbConfig(), "healthy_panic_threshold"),
		only(c.GetLeastRequestLbConfig(), "choice_count"),
		only(c.GetRingHashLbConfig(), "minimum_ring_size maximum_ring_size"),
	)
}

// share makes a share of a percentage, without the error of the division.
func share(percent float64) float64 { return math.Round(percent*1e7) / 1e9 }

func decodeBreakers(c *clusterv3.Cluster, cluster *edge.Cluster) error {
	if err := only(c.GetCircuitBreakers(), "thresholds"); err != nil {
		return err
	}
	for _, threshold := range c.GetCircuitBreakers().GetThresholds() {
		err := first(
			only(threshold, "max_connections max_pending_requests max_requests max_retries retry_budget"),
			only(threshold.GetRetryBudget(), "budget_percent"),
		)
		if err != nil {
			return fmt.Errorf("circuit_breakers: %w", err)
		}
		bound(&cluster.MaxConnections, threshold.GetMaxConnections())
		bound(&cluster.MaxPending, threshold.GetMaxPendingRequests())
		bound(&cluster.MaxRequests, threshold.GetMaxRequests())
		bound(&cluster.MaxRetries, threshold.GetMaxRetries())
		if budget := threshold.GetRetryBudget().GetBudgetPercent(); budget != nil {
			cluster.RetryBudget = share(budget.GetValue())
		}
	}
	return nil
}

func bound(to *int, value *wrapperspb.UInt32Value) {
	if value != nil {
		*to = int(value.GetValue())
	}
}

func decodeOutlier(c *clusterv3.Cluster, cluster *edge.Cluster) error {
	o := c.GetOutlierDetection()
	if o == nil {
		return nil
	}
	err := only(o, "consecutive_5xx enforcing_consecutive_5xx enforcing_consecutive_gateway_failure enforcing_success_rate interval "+
		"base_ejection_time max_ejection_time max_ejection_percent success_rate_stdev_factor always_eject_one_host")
	if err != nil {
		return err
	}
	outlier := &edge.Outlier{
		Consecutive: 5, Interval: orDuration(o.GetInterval(), 10*time.Second), BaseEject: orDuration(o.GetBaseEjectionTime(), 30*time.Second),
		MaxEject: orDuration(o.GetMaxEjectionTime(), 5*time.Minute), MaxEjectPercent: 10,
	}
	bound(&outlier.Consecutive, o.GetConsecutive_5Xx())
	bound(&outlier.MaxEjectPercent, o.GetMaxEjectionPercent())
	if enforcing := o.GetEnforcingSuccessRate(); enforcing == nil || enforcing.GetValue() > 0 {
		outlier.SuccessRate = 1.9
		if factor := o.GetSuccessRateStdevFactor(); factor != nil {
			outlier.SuccessRate = float64(factor.GetValue()) / 1000
		}
	}
	cluster.Outlier = outlier
	return nil
}

func decodeHealth(c *clusterv3.Cluster, cluster *edge.Cluster) error {
	checks := c.GetHealthChecks()
	if len(checks) == 0 {
		return nil
	}
	if len(checks) > 1 {
		return errors.New("health_checks: more than one is not supported")
	}
	h := checks[0]
	http := h.GetHttpHealthCheck()
	err := first(
		only(h, "timeout interval healthy_threshold unhealthy_threshold http_health_check grpc_health_check tcp_health_check"),
		only(http, "host path expected_statuses"), only(h.GetGrpcHealthCheck(), ""), only(h.GetTcpHealthCheck(), ""),
	)
	if err != nil {
		return fmt.Errorf("health_checks: %w", err)
	}
	check := &edge.HealthCheck{
		Path: http.GetPath(), Host: http.GetHost(), GRPC: h.GetGrpcHealthCheck() != nil,
		Interval: h.GetInterval().AsDuration(), Timeout: h.GetTimeout().AsDuration(),
		Healthy: int(h.GetHealthyThreshold().GetValue()), Unhealthy: int(h.GetUnhealthyThreshold().GetValue()),
	}
	for _, one := range http.GetExpectedStatuses() {
		for status := max(one.GetStart(), 100); status < min(one.GetEnd(), 600); status++ {
			check.Statuses = append(check.Statuses, int(status))
		}
	}
	if check.Interval <= 0 || check.Timeout <= 0 || check.Healthy == 0 || check.Unhealthy == 0 {
		return errors.New("health_checks: interval, timeout and thresholds must be above 0")
	}
	cluster.Health = check
	return nil
}

func decodeProtocol(c *clusterv3.Cluster, cluster *edge.Cluster) error {
	for name, packed := range c.GetTypedExtensionProtocolOptions() {
		if name != httpOptions {
			return fmt.Errorf("typed_extension_protocol_options: %s is not supported", name)
		}
		options := new(upstreamv3.HttpProtocolOptions)
		err := unpack(packed, options, "common_http_protocol_options explicit_http_config use_downstream_protocol_config")
		common, explicit := options.GetCommonHttpProtocolOptions(), options.GetExplicitHttpConfig()
		if err := first(err, only(common, "idle_timeout max_requests_per_connection"), only(explicit, "http_protocol_options http2_protocol_options")); err != nil {
			return fmt.Errorf("HttpProtocolOptions: %w", err)
		}
		switch {
		case explicit.GetHttp2ProtocolOptions() != nil:
			cluster.Protocol = edge.UpstreamHTTP2
		case explicit != nil:
			cluster.Protocol = edge.UpstreamHTTP1
		}
		cluster.Pool.IdleTimeout = orDuration(common.GetIdleTimeout(), edge.DefaultPoolIdle)
		bound(&cluster.Pool.MaxUses, common.GetMaxRequestsPerConnection())
	}
	return nil
}

func upstreamTLS(c *clusterv3.Cluster, cluster *edge.Cluster) error {
	socket := c.GetTransportSocket()
	if socket == nil {
		return nil
	}
	context := new(tlsv3.UpstreamTlsContext)
	if err := unpack(socket.GetTypedConfig(), context, "common_tls_context sni"); err != nil {
		return fmt.Errorf("transport_socket: %w", err)
	}
	common := context.GetCommonTlsContext()
	combined := common.GetCombinedValidationContext()
	named := common.GetValidationContext()
	if combined != nil {
		named = combined.GetDefaultValidationContext()
	}
	err := first(
		only(common, "alpn_protocols tls_certificate_sds_secret_configs validation_context combined_validation_context"),
		only(combined, "default_validation_context validation_context_sds_secret_config"),
		only(named, "match_typed_subject_alt_names trusted_ca"),
	)
	if err != nil {
		return fmt.Errorf("transport_socket: %w", err)
	}
	settings := &edge.ClusterTLS{ServerName: context.GetSni(), Authority: combined.GetValidationContextSdsSecretConfig().GetName()}
	names := named.GetMatchTypedSubjectAltNames()
	if len(names) != 1 || names[0].GetMatcher().GetExact() != settings.ServerName {
		return errors.New("transport_socket: match_typed_subject_alt_names must be the name of sni alone")
	}
	if certificates := common.GetTlsCertificateSdsSecretConfigs(); len(certificates) > 1 {
		return errors.New("transport_socket: more than one certificate is not supported")
	} else if len(certificates) == 1 {
		settings.Certificate = certificates[0].GetName()
	}
	cluster.TLS = settings
	return nil
}

// decodeExtension reads what Envoy's clusters lack.
func decodeExtension(c *clusterv3.Cluster, cluster *edge.Cluster) error {
	packed, found := c.GetMetadata().GetTypedFilterMetadata()[clusterMetadata]
	if !found {
		return nil
	}
	extension := new(gatewayv1.ClusterExtension)
	if err := packed.UnmarshalTo(extension); err != nil {
		return fmt.Errorf("metadata %s: %w", clusterMetadata, err)
	}
	if pool := extension.GetPool(); pool != nil {
		cluster.Pool = edge.Pool{
			MaxIdle: orInt(pool.GetMaxIdle(), edge.DefaultMaxIdle), IdleTimeout: orDuration(pool.GetIdleTimeout(), edge.DefaultPoolIdle),
			TLSHandshake: orDuration(pool.GetTlsHandshakeTimeout(), edge.DefaultTLSHandshake), MaxUses: int(pool.GetMaxUses()),
		}
	}
	if b := extension.GetErrorBreaker(); b != nil {
		cluster.Errors = &edge.ErrorBreaker{
			Share: b.GetShare(), Window: orDuration(b.GetWindow(), 10*time.Second), Minimum: orInt(b.GetMinimum(), 20),
			OpenFor: orDuration(b.GetOpenFor(), 5*time.Second), Probes: orInt(b.GetProbes(), 3), Statuses: ints(b.GetStatuses()),
		}
	}
	return nil
}

func decodeEndpoints(assignment *endpointv3.ClusterLoadAssignment) ([]edge.Endpoint, error) {
	var all []edge.Endpoint
	for _, locality := range assignment.GetEndpoints() {
		if err := only(locality, "locality lb_endpoints load_balancing_weight"); err != nil {
			return nil, fmt.Errorf("endpoints: %w", err)
		}
		for _, lb := range locality.GetLbEndpoints() {
			endpoint, usable, err := decodeEndpoint(lb)
			if err != nil {
				return nil, fmt.Errorf("endpoints: %w", err)
			}
			endpoint.Zone = locality.GetLocality().GetZone()
			if usable {
				all = append(all, endpoint)
			}
		}
	}
	return all, nil
}

// decodeEndpoint: the control plane's word that an endpoint is unhealthy is
// taken.
func decodeEndpoint(lb *endpointv3.LbEndpoint) (endpoint edge.Endpoint, usable bool, err error) {
	err = first(
		only(lb, "endpoint health_status metadata load_balancing_weight"),
		only(lb.GetEndpoint(), "address hostname"),
	)
	if err != nil {
		return endpoint, false, err
	}
	if raw, found := lb.GetMetadata().GetTypedFilterMetadata()[instanceMetadata]; found {
		instance := new(configstorev1.Instance)
		if err := raw.UnmarshalTo(instance); err != nil {
			return endpoint, false, err
		}
		endpoint.TLS = instance.GetTls()
	}
	endpoint.Weight = lb.GetLoadBalancingWeight().GetValue()
	status := lb.GetHealthStatus()
	endpoint.Draining = status == corev3.HealthStatus_DRAINING
	usable = status != corev3.HealthStatus_UNHEALTHY && status != corev3.HealthStatus_TIMEOUT
	switch address := lb.GetEndpoint().GetAddress().GetAddress().(type) {
	case *corev3.Address_Pipe:
		endpoint.Address = "unix:" + address.Pipe.GetPath()
	case *corev3.Address_SocketAddress:
		port := strconv.FormatUint(uint64(address.SocketAddress.GetPortValue()), 10)
		endpoint.Address = joinHostPort(address.SocketAddress.GetAddress(), port)
	default:
		return endpoint, false, fmt.Errorf("address %T is not supported", address)
	}
	return endpoint, usable, nil
}
