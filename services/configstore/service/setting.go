package service

import (
	"errors"
	"fmt"
	"strings"

	"github.com/backlot-video/backlot/kit/config"
	"github.com/backlot-video/backlot/services/configstore/internal/engine"
)

// membership has the settings of a member of several.
type membership struct {
	member, peerListen, peerURL, members, token, profile, clientListen string
	join, peerInsecure                                                 bool
	peer, client                                                       engine.Files
}

func (c *membership) register(set *config.Set) {
	set.String(&c.peerListen, "peer-listen", "", "`address` (host:port) for the other members; empty: this member stays alone")
	set.String(&c.peerURL, "peer-url", "", "`address` that others dial, as https://host:port; empty: peer-listen")
	set.String(&c.member, "member", "backlot", "`name` of this member, unique in the cluster")
	set.String(&c.members, "members", "", "the founders as `name=url,...`, this one among them; of one that joins: those that `member add` prints")
	set.Bool(&c.join, "join", false, "join a cluster that has been told of this member by `member add`")
	set.String(&c.token, "cluster-token", "backlot", "`name` of the cluster; members of others are not talked to")
	set.String(&c.profile, "profile", "lan",
		"how patient members are with each other: `"+strings.Join(engine.ProfileNames(), "|")+"`; `doctor` recommends one")
	set.String(&c.peer.Cert, "peer-cert", "", "PEM `file` with the certificate that members show each other")
	set.String(&c.peer.Key, "peer-key", "", "PEM `file` with its key")
	set.String(&c.peer.Authority, "peer-ca", "", "PEM `file` with the authority that members' certificates must be of")
	set.Bool(&c.peerInsecure, "peer-insecure", false, "let members talk without TLS off loopback: who reaches the port can write everything")
	set.String(&c.clientListen, "client-listen", "", "`address` of etcd's own API, for etcdctl; it shows everything to who gets in; empty: none")
	set.String(&c.client.Cert, "client-cert", "", "PEM `file` with the certificate of etcd's own API")
	set.String(&c.client.Key, "client-key", "", "PEM `file` with its key")
	set.String(&c.client.Authority, "client-ca", "", "PEM `file` with the authority that clients' certificates must be of")
}

func (c *membership) engine() (engine.Cluster, error) {
	profile, err := engine.ProfileByName(c.profile)
	if err != nil {
		return engine.Cluster{}, fmt.Errorf("profile: %w", err)
	}
	var members []string
	if c.members != "" {
		members = strings.Split(c.members, ",")
	}
	return engine.Cluster{
		Name: c.member, PeerListen: c.peerListen, PeerURL: c.peerURL, Members: members, Join: c.join, Token: c.token,
		PeerTLS: c.peer, PeerInsecure: c.peerInsecure, ClientListen: c.clientListen, ClientTLS: c.client, Profile: profile,
	}, nil
}

// validate names settings by their whole names.
func (c *membership) validate() error {
	built, err := c.engine()
	if err == nil {
		err = built.Validate()
	}
	if err == nil {
		return nil
	}
	var faults []error
	for line := range strings.SplitSeq(err.Error(), "\n") {
		faults = append(faults, errors.New(name+"."+line))
	}
	return errors.Join(faults...)
}
