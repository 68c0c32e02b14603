package xds

import (
	"math"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	upstreamv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	gatewayv1 "github.com/backlot-video/backlot/proto/gen/backlot/gateway/v1"
)

const (
	// clusterMetadata is the typed filter metadata of a cluster: a
	// gateway.v1.ClusterExtension.
	clusterMetadata = "backlot.gateway.cluster"
	// httpOptions are Envoy's typed options of a cluster's protocol.
	httpOptions = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
)

// What clusters get that set nothing.
const (
	defaultConnectTimeout = 2 * time.Second
	defaultPoolIdle       = 30 * time.Second
	defaultRetryBudget    = 0.2
	defaultPanic          = 0.5
)

// renderCluster makes the cluster id, circuit breaker included.
func renderCluster(of id, c *gatewayv1.Cluster) (*clusterv3.Cluster, error) {
	name, timeout := of.resource(), c.GetConnectTimeout()
	if timeout.AsDuration() <= 0 {
		timeout = durationpb.New(defaultConnectTimeout)
	}
	cluster := &clusterv3.Cluster{
		Name:                 name,
		ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_EDS},
		EdsClusterConfig:     &clusterv3.Cluster_EdsClusterConfig{EdsConfig: adsSource(), ServiceName: name},
		ConnectTimeout:       timeout,
		CircuitBreakers:      &clusterv3.CircuitBreakers{Thresholds: []*clusterv3.CircuitBreakers_Thresholds{renderBreaker(c.GetBreaker())}},
		OutlierDetection:     renderOutlier(c.GetOutlierDetection()),
		HealthChecks:         renderHealth(c.GetHealthCheck()),
		CommonLbConfig:       &clusterv3.Cluster_CommonLbConfig{HealthyPanicThreshold: &typev3.Percent{Value: 100 * defaultPanic}},
	}
	if c.PanicThreshold != nil {
		cluster.CommonLbConfig.HealthyPanicThreshold.Value = 100 * c.GetPanicThreshold()
	}
	setBalance(cluster, c.GetBalance())
	options, err := typed(renderProtocol(c))
	if err != nil {
		return nil, err
	}
	cluster.TypedExtensionProtocolOptions = map[string]*anypb.Any{httpOptions: options}
	if cluster.TransportSocket, err = upstreamTLS(of, c); err != nil {
		return nil, err
	}
	if c.GetErrorBreaker() == nil && c.GetPool() == nil {
		return cluster, nil
	}
	extension, err := typed(&gatewayv1.ClusterExtension{ErrorBreaker: c.GetErrorBreaker(), Pool: c.GetPool()})
	cluster.Metadata = &corev3.Metadata{TypedFilterMetadata: map[string]*anypb.Any{clusterMetadata: extension}}
	return cluster, err
}

func renderBreaker(b *gatewayv1.CircuitBreaker) *clusterv3.CircuitBreakers_Thresholds {
	budget := b.GetRetryBudget()
	if budget == 0 {
		budget = defaultRetryBudget
	}
	return &clusterv3.CircuitBreakers_Thresholds{
		MaxConnections:     orDefault(b.GetMaxConnections(), 1024),
		MaxPendingRequests: orDefault(b.GetMaxPendingRequests(), 1024),
		MaxRequests:        orDefault(b.GetMaxRequests(), 4096),
		MaxRetries:         orDefault(b.GetMaxRetries(), 32),
		RetryBudget:        &clusterv3.CircuitBreakers_Thresholds_RetryBudget{BudgetPercent: &typev3.Percent{Value: 100 * budget}},
	}
}

func orDefault(value, fallback uint32) *wrapperspb.UInt32Value {
	if value == 0 {
		value = fallback
	}
	return wrapperspb.UInt32(value)
}

func setBalance(cluster *clusterv3.Cluster, balance gatewayv1.Balance) {
	switch balance {
	case gatewayv1.Balance_BALANCE_ROUND_ROBIN:
		cluster.LbPolicy = clusterv3.Cluster_ROUND_ROBIN
	case gatewayv1.Balance_BALANCE_RING_HASH:
		cluster.LbPolicy = clusterv3.Cluster_RING_HASH
		cluster.LbConfig = &clusterv3.Cluster_RingHashLbConfig_{RingHashLbConfig: &clusterv3.Cluster_RingHashLbConfig{}}
	case gatewayv1.Balance_BALANCE_RANDOM:
		cluster.LbPolicy = clusterv3.Cluster_RANDOM
	default:
		cluster.LbPolicy = clusterv3.Cluster_LEAST_REQUEST
		cluster.LbConfig = &clusterv3.Cluster_LeastRequestLbConfig_{
			LeastRequestLbConfig: &clusterv3.Cluster_LeastRequestLbConfig{ChoiceCount: wrapperspb.UInt32(2)},
		}
	}
}

// renderProtocol: without a protocol of its own, Envoy speaks to a cluster
// what the client speaks to Envoy, which comes nearest to HTTP/2 for gRPC.
func renderProtocol(c *gatewayv1.Cluster) *upstreamv3.HttpProtocolOptions {
	common := &corev3.HttpProtocolOptions{IdleTimeout: orDuration(c.GetPool().GetIdleTimeout(), defaultPoolIdle)}
	if uses := c.GetPool().GetMaxUses(); uses > 0 {
		common.MaxRequestsPerConnection = wrapperspb.UInt32(uses)
	}
	options := &upstreamv3.HttpProtocolOptions{CommonHttpProtocolOptions: common}
	explicit := new(upstreamv3.HttpProtocolOptions_ExplicitHttpConfig)
	switch c.GetProtocol() {
	case gatewayv1.UpstreamProtocol_UPSTREAM_PROTOCOL_HTTP1:
		explicit.ProtocolConfig = &upstreamv3.HttpProtocolOptions_ExplicitHttpConfig_HttpProtocolOptions{HttpProtocolOptions: new(corev3.Http1ProtocolOptions)}
	case gatewayv1.UpstreamProtocol_UPSTREAM_PROTOCOL_HTTP2:
		explicit.ProtocolConfig = &upstreamv3.HttpProtocolOptions_ExplicitHttpConfig_Http2ProtocolOptions{Http2ProtocolOptions: new(corev3.Http2ProtocolOptions)}
	default:
		options.UpstreamProtocolOptions = &upstreamv3.HttpProtocolOptions_UseDownstreamProtocolConfig{
			UseDownstreamProtocolConfig: &upstreamv3.HttpProtocolOptions_UseDownstreamHttpConfig{
				HttpProtocolOptions: new(corev3.Http1ProtocolOptions), Http2ProtocolOptions: new(corev3.Http2ProtocolOptions),
			},
		}
		return options
	}
	options.UpstreamProtocolOptions = &upstreamv3.HttpProtocolOptions_ExplicitHttpConfig_{ExplicitHttpConfig: explicit}
	return options
}

// renderOutlier is nil where nothing is to be ejected. What a cluster leaves
// open has the defaults, and so has one that says nothing.
func renderOutlier(o *gatewayv1.OutlierDetection) *clusterv3.OutlierDetection {
	if o.GetOff() {
		return nil
	}
	detection := &clusterv3.OutlierDetection{
		Consecutive_5Xx:                    orDefault(o.GetConsecutive(), 5),
		EnforcingConsecutive_5Xx:           wrapperspb.UInt32(100),
		EnforcingConsecutiveGatewayFailure: wrapperspb.UInt32(0),
		EnforcingSuccessRate:               wrapperspb.UInt32(0),
		Interval:                           orDuration(o.GetInterval(), 10*time.Second),
		BaseEjectionTime:                   orDuration(o.GetBaseEject(), 30*time.Second),
		MaxEjectionTime:                    orDuration(o.GetMaxEject(), 5*time.Minute),
		MaxEjectionPercent:                 orDefault(o.GetMaxEjectPercent(), 10),
		AlwaysEjectOneHost:                 wrapperspb.Bool(true),
	}
	if rate := o.GetSuccessRate(); rate > 0 {
		detection.EnforcingSuccessRate = wrapperspb.UInt32(100)
		detection.SuccessRateStdevFactor = wrapperspb.UInt32(uint32(math.Round(1000 * rate)))
	}
	return detection
}

func renderHealth(h *gatewayv1.HealthCheck) []*corev3.HealthCheck {
	if h == nil {
		return nil
	}
	check := &corev3.HealthCheck{
		Interval: orDuration(h.GetInterval(), 5*time.Second), Timeout: orDuration(h.GetTimeout(), 2*time.Second),
		HealthyThreshold: orDefault(h.GetHealthy(), 2), UnhealthyThreshold: orDefault(h.GetUnhealthy(), 3),
	}
	switch how := h.GetHow().(type) {
	case *gatewayv1.HealthCheck_Http:
		http := &corev3.HealthCheck_HttpHealthCheck{Host: how.Http.GetHost(), Path: how.Http.GetPath()}
		for _, status := range how.Http.GetStatuses() {
			http.ExpectedStatuses = append(http.ExpectedStatuses, &typev3.Int64Range{Start: int64(status), End: int64(status) + 1})
		}
		check.HealthChecker = &corev3.HealthCheck_HttpHealthCheck_{HttpHealthCheck: http}
	case *gatewayv1.HealthCheck_Grpc:
		check.HealthChecker = &corev3.HealthCheck_GrpcHealthCheck_{GrpcHealthCheck: &corev3.HealthCheck_GrpcHealthCheck{}}
	default:
		check.HealthChecker = &corev3.HealthCheck_TcpHealthCheck_{TcpHealthCheck: &corev3.HealthCheck_TcpHealthCheck{}}
	}
	return []*corev3.HealthCheck{check}
}

func adsSource() *corev3.ConfigSource {
	return &corev3.ConfigSource{
		ResourceApiVersion:    corev3.ApiVersion_V3,
		ConfigSourceSpecifier: &corev3.ConfigSource_Ads{Ads: &corev3.AggregatedConfigSource{}},
	}
}
