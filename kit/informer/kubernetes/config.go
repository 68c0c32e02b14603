package kubernetes

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/backlot-video/backlot/kit/socket"
)

// DefaultServiceLabel is the label whose value names an instance's service.
const DefaultServiceLabel = "kubernetes.io/service-name"

// accountDir is where a pod finds what its account may use.
const accountDir = "/var/run/secrets/kubernetes.io/serviceaccount"

// Config says where the API server is and what is asked of it.
type Config struct {
	// URL of the API server; empty: that of the cluster in which the process
	// runs, with the token and authority of its account.
	URL string
	// TokenFile holds a bearer token, read anew for each request because it is
	// replaced; empty: none.
	TokenFile string
	// AuthorityFile holds the authorities that sign the server's certificate;
	// empty: the system's.
	AuthorityFile string
	// Selector on labels and FieldSelector on fields choose objects; empty:
	// all.
	Selector, FieldSelector string
	// Fields are the paths of what is kept of an object, by the rules of
	// wire.CompileMask, before it is decoded; empty: all. They hold for
	// protobuf; of objects in JSON all is kept. An informer.Item has name,
	// namespace and revision in any case.
	Fields []string
	// Paged lists in pages even where the server could stream a list.
	Paged bool
	// MaxObjectBytes bounds an object, or event; default 4 MiB.
	MaxObjectBytes int
	// HTTP must not limit the whole exchange in time; nil: one made of the
	// above.
	HTTP *http.Client
}

func (c *Config) complete() error {
	if c.MaxObjectBytes <= 0 {
		c.MaxObjectBytes = 4 << 20
	}
	c.MaxObjectBytes = min(c.MaxObjectBytes, math.MaxInt32)
	if c.URL == "" {
		host, port := os.Getenv("KUBERNETES_SERVICE_HOST"), os.Getenv("KUBERNETES_SERVICE_PORT")
		if host == "" || port == "" {
			return errors.New("kubernetes: the process runs in no cluster (KUBERNETES_SERVICE_HOST is not set): give the URL of an API server")
		}
		c.URL = "https://" + net.JoinHostPort(host, port)
		c.TokenFile, c.AuthorityFile = filepath.Join(accountDir, "token"), filepath.Join(accountDir, "ca.crt")
	}
	c.URL = strings.TrimSuffix(c.URL, "/")
	if where, err := url.Parse(c.URL); err != nil || where.Host == "" || where.Scheme != "http" && where.Scheme != "https" {
		return fmt.Errorf("kubernetes: %q is no URL of an API server", c.URL)
	}
	if c.HTTP != nil {
		return nil
	}
	secure := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.AuthorityFile != "" {
		raw, err := os.ReadFile(c.AuthorityFile)
		if err != nil {
			return fmt.Errorf("kubernetes: %w", err)
		}
		secure.RootCAs = x509.NewCertPool()
		if !secure.RootCAs.AppendCertsFromPEM(raw) {
			return fmt.Errorf("kubernetes: %s holds no certificate", c.AuthorityFile)
		}
	}
	dialer := &net.Dialer{Timeout: 10 * time.Second}
	c.HTTP = &http.Client{Transport: &http.Transport{
		// Changes come one by one: the usual read of each wakes a thread of the
		// runtime's, which takes about as long as all else.
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			return socket.Dial(ctx, dialer, network, address)
		},
		TLSClientConfig: secure, ResponseHeaderTimeout: 30 * time.Second, IdleConnTimeout: time.Minute,
		ReadBufferSize: bufferBytes, DisableCompression: true, // it costs more than a network within a cluster
	}}
	return nil
}

func (c *Config) token() (string, error) {
	if c.TokenFile == "" {
		return "", nil
	}
	raw, err := os.ReadFile(c.TokenFile)
	return strings.TrimSpace(string(raw)), err
}
