package kubernetes

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
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
	// Selector on labels; empty: all slices.
	Selector string
	// ServiceLabel names the label that tells the service; default
	// DefaultServiceLabel.
	ServiceLabel string
	// HTTP must not limit the whole exchange in time; nil: one made of the
	// above.
	HTTP *http.Client
}

func (c *Config) complete() error {
	if c.ServiceLabel == "" {
		c.ServiceLabel = DefaultServiceLabel
	}
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
	c.HTTP = &http.Client{Transport: &http.Transport{
		TLSClientConfig: secure, ResponseHeaderTimeout: 30 * time.Second, IdleConnTimeout: time.Minute,
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
