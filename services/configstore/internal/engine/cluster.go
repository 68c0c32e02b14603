package engine

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	"go.etcd.io/etcd/server/v3/embed"
)

// Cluster is what a member of several needs. With the zero value a member is
// alone and listens nowhere.
type Cluster struct {
	// Name of the member, unique in the cluster; default "backlot".
	Name string
	// PeerListen is the host:port where other members reach this one; empty: the
	// member stays alone.
	PeerListen string
	// PeerURL is what others dial; default PeerListen with https, or with http
	// where there is no PeerTLS.
	PeerURL string
	// Members are those that found the cluster together, this one among them, as
	// name=url; or, of a member that joins, those that the cluster has by then.
	// Empty: this one founds it alone.
	Members []string
	// Join says that the cluster exists and has been told of this member.
	Join bool
	// Token keeps members of different clusters from talking; default "backlot".
	Token string
	// PeerTLS is mutual: all members verify each other by its authority. Needed
	// off loopback, unless PeerInsecure.
	PeerTLS      Files
	PeerInsecure bool
	// ClientListen is the host:port of etcd's own API, for etcdctl and the like;
	// empty: none. It knows nothing of principals or tenants: who gets in sees all.
	// Off loopback it needs ClientTLS, which verifies clients.
	ClientListen string
	ClientTLS    Files
	// Profile says how patient members are with each other; default LAN.
	Profile Profile
}

// Files name PEM files.
type Files struct{ Cert, Key, Authority string }

// Empty tells that none is named.
func (f Files) Empty() bool { return f == Files{} }

func (f Files) info() transport.TLSInfo {
	return transport.TLSInfo{
		CertFile: f.Cert, KeyFile: f.Key, TrustedCAFile: f.Authority, ClientCertAuth: true, MinVersion: tls.VersionTLS12,
	}
}

func (f Files) check(what string) error {
	if f.Empty() || f.Cert != "" && f.Key != "" && f.Authority != "" {
		return nil
	}
	return fmt.Errorf("%s-cert, %s-key, %s-ca: give all three or none", what, what, what)
}

// alone tells that there are no others and never will be.
func (c *Cluster) alone() bool { return c.PeerListen == "" }

func (c *Cluster) fill() {
	or := func(field *string, value string) {
		if *field == "" {
			*field = value
		}
	}
	or(&c.Name, "backlot")
	or(&c.Token, "backlot")
	if c.Profile == (Profile{}) {
		c.Profile = Profiles["lan"]
	}
	if !c.alone() {
		scheme := "https://"
		if c.PeerTLS.Empty() {
			scheme = "http://"
		}
		or(&c.PeerURL, scheme+c.PeerListen)
	}
}

// Validate reports everything that is wrong, by the names of the settings.
func (c Cluster) Validate() error {
	c.fill()
	faults := []error{c.PeerTLS.check("peer"), c.ClientTLS.check("client")}
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	for _, listen := range []struct {
		name, address string
		open          bool
		way           string
	}{
		{"peer-listen", c.PeerListen, !c.PeerTLS.Empty() || c.PeerInsecure, "give peer-cert, peer-key and peer-ca, or peer-insecure"},
		{"client-listen", c.ClientListen, !c.ClientTLS.Empty(), "give client-cert, client-key and client-ca"},
	} {
		if listen.address == "" {
			continue
		}
		host, _, err := net.SplitHostPort(listen.address)
		if err != nil {
			fault("%s: %w", listen.name, err)
		} else if !isLoopback(host) && !listen.open {
			fault("%s: %s is not on loopback; %s", listen.name, listen.address, listen.way)
		}
	}
	if c.alone() {
		if len(c.Members) > 0 || c.Join {
			fault("members, join: need peer-listen")
		}
		return errors.Join(faults...)
	}
	members, err := c.members()
	if err != nil {
		faults = append(faults, err)
	} else if own, found := members[c.Name]; !found || own != c.PeerURL {
		fault("members: must name this member as %s=%s", c.Name, c.PeerURL)
	}
	if c.Join && len(members) < 2 {
		fault("join: members must name those of the cluster too; `backlot configstore member add` prints them")
	}
	if _, err := c.urls(c.PeerURL); err != nil {
		fault("peer-url: %w", err)
	}
	return errors.Join(faults...)
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// members are the addresses by name.
func (c *Cluster) members() (map[string]string, error) {
	all := map[string]string{}
	list := c.Members
	if len(list) == 0 {
		list = []string{c.Name + "=" + c.PeerURL}
	}
	for _, entry := range list {
		name, address, found := strings.Cut(entry, "=")
		if _, twice := all[name]; !found || name == "" || twice {
			return nil, fmt.Errorf("members: %q must be name=url, each name once", entry)
		}
		if _, err := c.urls(address); err != nil {
			return nil, fmt.Errorf("members: %q: %w", entry, err)
		}
		all[name] = address
	}
	return all, nil
}

func (c *Cluster) urls(text string) ([]url.URL, error) {
	parsed, err := url.Parse(text)
	if err != nil {
		return nil, err
	}
	if parsed.Scheme != "http" && parsed.Scheme != "https" || parsed.Port() == "" || parsed.Path != "" {
		return nil, fmt.Errorf("%q must be https://host:port", text)
	}
	return []url.URL{*parsed}, nil
}

// apply tells etcd of the other members.
func (c *Cluster) apply(to *embed.Config) error {
	if c.ClientListen != "" {
		scheme := "https"
		if c.ClientTLS.Empty() {
			scheme = "http"
		} else {
			to.ClientTLSInfo = c.ClientTLS.info()
		}
		to.ListenClientUrls = []url.URL{{Scheme: scheme, Host: c.ClientListen}}
		to.AdvertiseClientUrls = to.ListenClientUrls
	}
	if c.alone() {
		return nil
	}
	own, err := c.urls(c.PeerURL)
	if err != nil {
		return err
	}
	members, err := c.members()
	if err != nil {
		return err
	}
	to.Name = c.Name
	to.InitialClusterToken = c.Token
	to.AdvertisePeerUrls = own
	to.ListenPeerUrls = []url.URL{{Scheme: own[0].Scheme, Host: c.PeerListen}}
	if !c.PeerTLS.Empty() {
		to.PeerTLSInfo = c.PeerTLS.info()
	}
	entries := make([]string, 0, len(members))
	for name, address := range members {
		entries = append(entries, name+"="+address)
	}
	slices.Sort(entries)
	to.InitialCluster = strings.Join(entries, ",")
	if c.Join {
		to.ClusterState = embed.ClusterStateFlagExisting
	}
	to.TickMs, to.ElectionMs = uint(c.Profile.Heartbeat.Milliseconds()), uint(c.Profile.Election.Milliseconds())
	return nil
}
