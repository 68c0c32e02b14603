package filter

import (
	"crypto/x509"
	"net/url"
	"strings"
	"unicode/utf8"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/backlot-video/backlot/services/gateway/internal/exchange"
)

// request is what the service is asked about x, without the body.
func (a *authz) request(x *exchange.Exchange) *authv3.CheckRequest {
	r := &x.Request
	target := string(r.Path)
	if r.HasQuery {
		target += "?" + string(r.Query)
	}
	asked := &authv3.AttributeContext_HttpRequest{
		Id: text(x.ID), Method: text(r.Method), Headers: a.headersOf(r), Path: strings.ToValidUTF8(target, "\ufffd"),
		Host: text(r.Authority), Scheme: string(scheme(r)), Size: r.Length, Protocol: r.Protocol.String(),
	}
	source := &authv3.AttributeContext_Peer{Address: &corev3.Address{Address: &corev3.Address_SocketAddress{
		SocketAddress: &corev3.SocketAddress{
			Address:       x.From.String(),
			PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: uint32(r.Remote.Port())},
		},
	}}}
	if r.TLS != nil && len(r.TLS.VerifiedChains) > 0 {
		source.Principal = principalOf(r.TLS.VerifiedChains[0][0])
	}
	return &authv3.CheckRequest{Attributes: &authv3.AttributeContext{
		Source:            source,
		Request:           &authv3.AttributeContext_Request{Time: timestamppb.New(x.Began), Http: asked},
		ContextExtensions: a.context,
	}}
}

// principalOf is a certificate's URI, else its first DNS name, else its subject.
func principalOf(leaf *x509.Certificate) string {
	switch {
	case len(leaf.URIs) > 0:
		return leaf.URIs[0].String()
	case len(leaf.DNSNames) > 0:
		return leaf.DNSNames[0]
	}
	return leaf.Subject.String()
}

// text of a message has to be UTF-8.
func text(b []byte) string { return strings.ToValidUTF8(string(b), "\ufffd") }

// headersOf gives names in lower case; several lines of one name become one,
// with commas between them.
func (a *authz) headersOf(r *exchange.Request) map[string]string {
	headers := map[string]string{
		":method": text(r.Method), ":path": text(r.Path), ":authority": text(r.Authority), ":scheme": string(scheme(r)),
	}
	for i := range r.Fields {
		f := &r.Fields[i]
		if f.ID == exchange.Removed || f.ID == exchange.BacklotPrincipal {
			continue
		}
		name := strings.ToLower(text(f.Name))
		if _, wanted := a.headers[name]; a.headers != nil && !wanted {
			continue
		}
		if before, found := headers[name]; found {
			headers[name] = before + "," + text(f.Value)
			continue
		}
		headers[name] = text(f.Value)
	}
	return headers
}

// setBody adds what of the body was read.
func setBody(asked *authv3.AttributeContext_HttpRequest, held []byte, whole bool) {
	asked.Headers["x-envoy-auth-partial-body"] = "true"
	if whole {
		asked.Headers["x-envoy-auth-partial-body"] = "false"
	}
	if utf8.Valid(held) {
		asked.Body = string(held)
		return
	}
	asked.RawBody = append([]byte(nil), held...)
}

// setQuery puts one parameter in place of those of the same name.
func setQuery(x *exchange.Exchange, name, value string) {
	cutQuery(x, name)
	query := append([]byte(nil), x.Request.Query...)
	if len(query) > 0 {
		query = append(query, '&')
	}
	query = append(query, url.QueryEscape(name)+"="+url.QueryEscape(value)...)
	x.Request.Query, x.Request.HasQuery = query, true
}
