package xds

import (
	"encoding/hex"
	"errors"
	"fmt"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"

	"github.com/backlot-video/backlot/services/gateway/internal/edge"
)

// decodeSecret reads a secret, and by read the files that it names.
func decodeSecret(s *tlsv3.Secret, read func(path string) ([]byte, error)) (edge.Secret, error) {
	var secret edge.Secret
	var err error
	switch kind := s.GetType().(type) {
	case *tlsv3.Secret_TlsCertificate:
		if err := only(kind.TlsCertificate, "certificate_chain private_key"); err != nil {
			return secret, err
		}
		if secret.CertificatePEM, err = material(kind.TlsCertificate.GetCertificateChain(), read); err != nil {
			return secret, fmt.Errorf("certificate_chain: %w", err)
		}
		if secret.KeyPEM, err = material(kind.TlsCertificate.GetPrivateKey(), read); err != nil {
			return secret, fmt.Errorf("private_key: %w", err)
		}
	case *tlsv3.Secret_ValidationContext:
		if err := only(kind.ValidationContext, "trusted_ca"); err != nil {
			return secret, err
		}
		secret.AuthorityPEM, err = material(kind.ValidationContext.GetTrustedCa(), read)
	case *tlsv3.Secret_GenericSecret:
		if kind.GenericSecret.GetSecret() != nil {
			secret.JWKS, err = material(kind.GenericSecret.GetSecret(), read)
			return secret, err
		}
		secret.APIKeys, err = apiKeys(kind.GenericSecret.GetSecrets())
	default:
		return secret, errors.New("is of a kind that is not supported")
	}
	return secret, err
}

func apiKeys(digests map[string]*corev3.DataSource) (map[string][32]byte, error) {
	keys := make(map[string][32]byte, len(digests))
	for holder, source := range digests {
		raw, err := hex.DecodeString(string(inline(source)))
		if err != nil || len(raw) != 32 {
			return nil, fmt.Errorf("secrets[%q]: is no SHA-256 in hexadecimal digits", holder)
		}
		keys[holder] = [32]byte(raw)
	}
	return keys, nil
}

// material is what a source holds or its file does.
func material(source *corev3.DataSource, read func(path string) ([]byte, error)) ([]byte, error) {
	if err := only(source, "inline_string inline_bytes filename"); err != nil {
		return nil, err
	}
	if path := source.GetFilename(); path != "" {
		return read(path)
	}
	if bytes := inline(source); len(bytes) > 0 {
		return bytes, nil
	}
	return nil, errors.New("is empty")
}
