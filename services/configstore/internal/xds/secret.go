package xds

import (
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"

	gatewayv1 "github.com/backlot-video/backlot/proto/gen/backlot/gateway/v1"
)

const (
	tlsSocket = "envoy.transport_sockets.tls"
	// systemAuthorities are where Debian's are; an Envoy elsewhere refuses the
	// cluster rather than not to verify.
	systemAuthorities = "/etc/ssl/certs/ca-certificates.crt"
)

// renderSecret makes a resource of SDS. Key sets are one generic secret, API
// keys a map of them: digests in hexadecimal digits, by who holds the key.
func renderSecret(name string, s *gatewayv1.Secret) *tlsv3.Secret {
	secret := &tlsv3.Secret{Name: name}
	switch material := s.GetMaterial().(type) {
	case *gatewayv1.Secret_Certificate:
		secret.Type = &tlsv3.Secret_TlsCertificate{TlsCertificate: &tlsv3.TlsCertificate{
			CertificateChain: source(material.Certificate.GetChain()), PrivateKey: source(material.Certificate.GetKey()),
		}}
	case *gatewayv1.Secret_Authority:
		secret.Type = &tlsv3.Secret_ValidationContext{ValidationContext: &tlsv3.CertificateValidationContext{
			TrustedCa: source(material.Authority),
		}}
	case *gatewayv1.Secret_Jwks:
		secret.Type = &tlsv3.Secret_GenericSecret{GenericSecret: &tlsv3.GenericSecret{Secret: source(material.Jwks)}}
	case *gatewayv1.Secret_ApiKeys:
		digests := make(map[string]*corev3.DataSource, len(material.ApiKeys.GetDigests()))
		for holder, digest := range material.ApiKeys.GetDigests() {
			digests[holder] = &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{InlineString: digest}}
		}
		secret.Type = &tlsv3.Secret_GenericSecret{GenericSecret: &tlsv3.GenericSecret{Secrets: digests}}
	}
	return secret
}

func source(m *gatewayv1.Material) *corev3.DataSource {
	if path := m.GetFile(); path != "" {
		return &corev3.DataSource{Specifier: &corev3.DataSource_Filename{Filename: path}}
	}
	return &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{InlineString: m.GetInline()}}
}

// secretOf refers to a secret of the same namespace.
func secretOf(of id, name string) *tlsv3.SdsSecretConfig {
	return &tlsv3.SdsSecretConfig{Name: id{of.namespace, name}.resource(), SdsConfig: adsSource()}
}

// upstreamTLS is nil for a cluster without TLS of its own.
func upstreamTLS(of id, c *gatewayv1.Cluster) (*corev3.TransportSocket, error) {
	t := c.GetTls()
	if t == nil {
		return nil, nil //nolint:nilnil // a cluster without a transport socket is plain
	}
	common := new(tlsv3.CommonTlsContext)
	if c.GetProtocol() == gatewayv1.UpstreamProtocol_UPSTREAM_PROTOCOL_HTTP2 {
		common.AlpnProtocols = []string{"h2"}
	}
	if t.GetCertificate() != "" {
		common.TlsCertificateSdsSecretConfigs = []*tlsv3.SdsSecretConfig{secretOf(of, t.GetCertificate())}
	}
	named := &tlsv3.CertificateValidationContext{MatchTypedSubjectAltNames: []*tlsv3.SubjectAltNameMatcher{{
		SanType: tlsv3.SubjectAltNameMatcher_DNS,
		Matcher: &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Exact{Exact: t.GetServerName()}},
	}}}
	if t.GetAuthority() == "" {
		named.TrustedCa = &corev3.DataSource{Specifier: &corev3.DataSource_Filename{Filename: systemAuthorities}}
		common.ValidationContextType = &tlsv3.CommonTlsContext_ValidationContext{ValidationContext: named}
	} else {
		common.ValidationContextType = &tlsv3.CommonTlsContext_CombinedValidationContext{
			CombinedValidationContext: &tlsv3.CommonTlsContext_CombinedCertificateValidationContext{
				DefaultValidationContext: named, ValidationContextSdsSecretConfig: secretOf(of, t.GetAuthority()),
			},
		}
	}
	packed, err := typed(&tlsv3.UpstreamTlsContext{CommonTlsContext: common, Sni: t.GetServerName()})
	return &corev3.TransportSocket{Name: tlsSocket, ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: packed}}, err
}
