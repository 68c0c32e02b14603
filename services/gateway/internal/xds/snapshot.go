package xds

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/backlot-video/backlot/kit/file"
	"github.com/backlot-video/backlot/services/gateway/internal/edge"
)

var errSnapshot = errors.New("snapshot is damaged")

// maxSnapshot bounds the file.
const maxSnapshot = 256 << 20

// Load puts the last good configuration of an earlier run in force. It
// returns false where there is none.
func (c *Client) Load() (bool, error) {
	source, err := os.Open(c.config.SnapshotFile)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer func() { _ = source.Close() }()
	raw, err := io.ReadAll(io.LimitReader(source, maxSnapshot))
	if err != nil {
		return false, err
	}
	config, err := decodeSnapshot(raw)
	if err != nil {
		return false, fmt.Errorf("%s: %w", c.config.SnapshotFile, err)
	}
	c.config.Apply(config)
	return true, nil
}

// save writes the set whole or not at all: a checksum, then each response
// with its length.
func save(path string, s set) error {
	var body []byte
	for _, kind := range types {
		if s[kind] == nil {
			continue
		}
		raw, err := proto.Marshal(s[kind])
		if err != nil {
			return err
		}
		body = protowire.AppendBytes(body, raw)
	}
	sum := sha256.Sum256(body)
	return file.Replace(path, append(sum[:], body...))
}

func decodeSnapshot(raw []byte) (*edge.Config, error) {
	if len(raw) < sha256.Size {
		return nil, errSnapshot
	}
	body := raw[sha256.Size:]
	if sum := sha256.Sum256(body); !bytes.Equal(sum[:], raw[:sha256.Size]) {
		return nil, errSnapshot
	}
	s := set{}
	for len(body) > 0 {
		part, n := protowire.ConsumeBytes(body)
		if n < 0 {
			return nil, errSnapshot
		}
		response := new(discoveryv3.DiscoveryResponse)
		if err := proto.Unmarshal(part, response); err != nil {
			return nil, fmt.Errorf("%w: %w", errSnapshot, err)
		}
		s[response.GetTypeUrl()] = response
		body = body[n:]
	}
	return s.config()
}

// edsNames are the assignments that the clusters refer to, in order.
func (s set) edsNames() []string {
	var names []string
	for _, raw := range s[clusterType].GetResources() {
		c := new(clusterv3.Cluster)
		if raw.UnmarshalTo(c) != nil || c.GetType() != clusterv3.Cluster_EDS {
			continue
		}
		name := c.GetEdsClusterConfig().GetServiceName()
		if name == "" {
			name = c.GetName()
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}
