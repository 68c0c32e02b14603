package upstream

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/backlot-video/backlot/services/gateway/internal/edge"
)

const (
	// mostOfProbe is how much of an answer to a check is read.
	mostOfProbe = 64 << 10
	// grpcHealth is the method of gRPC's health protocol.
	grpcHealth = "/grpc.health.v1.Health/Check"
	// serving is grpc.health.v1.HealthCheckResponse.SERVING.
	serving = 1
)

// probe asks an endpoint how it is; nil means well. Its connections are not
// among those that the cluster's bounds count.
func (e *Endpoint) probe(ctx context.Context, settings *edge.Cluster) error {
	policy := settings.Health
	switch {
	case policy.GRPC:
		return e.probeGRPC(ctx, policy)
	case policy.Path != "":
		return e.probeHTTP(ctx, policy, settings.Protocol == edge.UpstreamHTTP2)
	default:
		conn, _, err := e.connect(ctx, e.credentials.Load(), nil)
		if err != nil {
			return err
		}
		return conn.Close()
	}
}

func (e *Endpoint) probeHTTP(ctx context.Context, policy *edge.HealthCheck, http2 bool) error {
	response, err := e.ask(ctx, http2, &http.Request{
		Method: http.MethodGet, URL: e.url(policy.Path), Host: policy.Host,
		Header: http.Header{"User-Agent": {"backlot-gateway-health"}},
	})
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, io.LimitReader(response.Body, mostOfProbe)); err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	if good := policy.Statuses; len(good) > 0 && !slices.Contains(good, response.StatusCode) ||
		len(good) == 0 && response.StatusCode/100 != 2 {
		return fmt.Errorf("answered %d", response.StatusCode)
	}
	return nil
}

// probeGRPC asks by grpc.health.v1; the policy's path is the service asked
// about, empty for the whole server.
func (e *Endpoint) probeGRPC(ctx context.Context, policy *edge.HealthCheck) error {
	var question []byte
	if policy.Path != "" {
		question = protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), policy.Path)
	}
	frame := append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(question))), question...)
	response, err := e.ask(ctx, true, &http.Request{
		Method: http.MethodPost, URL: e.url(grpcHealth), Host: policy.Host,
		Header:        http.Header{"Content-Type": {"application/grpc"}, "Te": {"trailers"}, "User-Agent": {"backlot-gateway-health"}},
		Body:          io.NopCloser(bytes.NewReader(frame)),
		ContentLength: int64(len(frame)),
	})
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, mostOfProbe))
	if err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	status := response.Trailer.Get("Grpc-Status")
	if status == "" {
		status = response.Header.Get("Grpc-Status")
	}
	if response.StatusCode != http.StatusOK || status != "0" {
		return fmt.Errorf("answered %d, grpc-status %q", response.StatusCode, status)
	}
	if got := healthStatus(body); got != serving {
		return fmt.Errorf("serving status is %d", got)
	}
	return nil
}

// healthStatus reads the status, field 1 of a framed HealthCheckResponse; 0,
// which is UNKNOWN, where there is none.
func healthStatus(frame []byte) uint64 {
	const header = 5
	if len(frame) < header || frame[0] != 0 || uint64(binary.BigEndian.Uint32(frame[1:])) != uint64(len(frame)-header) {
		return 0
	}
	for message := frame[header:]; len(message) > 0; {
		number, kind, n := protowire.ConsumeTag(message)
		if n < 0 {
			return 0
		}
		message = message[n:]
		if number == 1 && kind == protowire.VarintType {
			status, n := protowire.ConsumeVarint(message)
			if n < 0 {
				return 0
			}
			return status
		}
		if n = protowire.ConsumeFieldValue(number, kind, message); n < 0 {
			return 0
		}
		message = message[n:]
	}
	return 0
}

func (e *Endpoint) url(path string) *url.URL {
	u := &url.URL{Scheme: "http", Host: e.key.address, Path: path}
	if e.key.secure {
		u.Scheme = "https"
	}
	if e.network == "unix" {
		u.Host = "localhost"
	}
	return u
}

var errRetired = errors.New("endpoint is retired")

// ask sends one request over the connection of checks.
func (e *Endpoint) ask(ctx context.Context, http2 bool, r *http.Request) (*http.Response, error) {
	transport := e.transport(prober{http2: http2, credentials: e.credentials.Load()})
	if transport == nil {
		return nil, errRetired
	}
	return transport.RoundTrip(r.WithContext(ctx))
}

// transport is the one of checks, which keeps one connection; made anew where
// what it depends on has changed.
func (e *Endpoint) transport(of prober) *http.Transport {
	e.group.mu.Lock()
	defer e.group.mu.Unlock()
	h := &e.health
	if h.closed {
		return nil
	}
	if h.transport != nil && h.made == of {
		return h.transport
	}
	e.hangUp()
	protocols := new(http.Protocols)
	alpn := "http/1.1"
	if of.http2 {
		protocols.SetHTTP2(true)
		protocols.SetUnencryptedHTTP2(true)
		alpn = "h2"
	} else {
		protocols.SetHTTP1(true)
	}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		conn, _, err := e.connect(ctx, of.credentials, []string{alpn})
		return conn, err
	}
	h.made = of
	h.transport = &http.Transport{
		DialContext: dial, DialTLSContext: dial, Protocols: protocols, MaxIdleConnsPerHost: 1,
		DisableCompression: true, MaxResponseHeaderBytes: mostOfProbe,
	}
	return h.transport
}
