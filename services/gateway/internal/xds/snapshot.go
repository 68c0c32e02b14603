package xds

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/backlot-video/backlot/kit/file"
)

var errSnapshot = errors.New("snapshot is damaged")

const (
	// maxSnapshot bounds a file.
	maxSnapshot = 256 << 20
	// keptSnapshots are as many of the last sets as stay on disk.
	keptSnapshots = 3
	// saveEvery is the shortest time between two of them.
	saveEvery = time.Second
)

// Load puts the last good configuration of an earlier run in force, or an
// older one where the file of the last is damaged. It returns false where
// there is none, and the faults of those that could not be used.
func (c *Client) Load() (bool, error) {
	files, err := c.snapshots()
	if err != nil {
		return false, err
	}
	var faults []error
	for _, path := range slices.Backward(files) {
		if err := c.load(path); err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", path, err))
			continue
		}
		return true, errors.Join(faults...)
	}
	return false, errors.Join(faults...)
}

func (c *Client) load(path string) error {
	source, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = source.Close() }()
	raw, err := io.ReadAll(io.LimitReader(source, maxSnapshot+1))
	if err != nil {
		return err
	}
	s, err := decodeSnapshot(raw)
	if err != nil {
		return err
	}
	config, err := c.follow.builder.config(s)
	if err != nil {
		return err
	}
	if err := c.config.Apply(config); err != nil {
		return err
	}
	c.follow.received, c.follow.good, c.follow.release = s, s.clone(), config.Release
	c.note(s.versions, "")
	return nil
}

// snapshots are the files there are, the newest last.
func (c *Client) snapshots() ([]string, error) {
	dir, base := filepath.Split(c.config.SnapshotFile)
	entries, err := os.ReadDir(filepath.Clean(dir))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	var files []string
	for _, entry := range entries {
		if suffix, found := strings.CutPrefix(entry.Name(), base+"."); found && numberOf(suffix) > 0 {
			files = append(files, filepath.Join(dir, entry.Name()))
		}
	}
	slices.SortFunc(files, func(a, b string) int { return cmp.Compare(numberOf(a), numberOf(b)) })
	return files, err
}

// numberOf is what a file's name ends with, 0 where that is no number.
func numberOf(name string) int {
	n, err := strconv.Atoi(name[strings.LastIndexByte(name, '.')+1:])
	if err != nil {
		return 0
	}
	return n
}

// save hands a set to keep; one that waits there is replaced.
func (c *Client) save(s *set) {
	select {
	case <-c.saving:
	default:
	}
	c.saving <- s
}

// keep writes sets to disk until ctx ends, the last one included.
func (c *Client) keep(ctx context.Context) {
	for {
		select {
		case s := <-c.saving:
			c.write(s)
		case <-ctx.Done():
			select {
			case s := <-c.saving:
				c.write(s)
			default:
			}
			return
		}
		select {
		case <-time.After(saveEvery):
		case <-ctx.Done():
		}
	}
}

// write makes a file of a set and removes the oldest.
func (c *Client) write(s *set) {
	files, err := c.snapshots()
	if err == nil {
		next := 1
		if len(files) > 0 {
			next = numberOf(files[len(files)-1]) + 1
		}
		err = file.Replace(c.config.SnapshotFile+"."+strconv.Itoa(next), encodeSnapshot(s))
	}
	if err == nil {
		for _, old := range files[:max(0, len(files)+1-keptSnapshots)] {
			err = errors.Join(err, os.Remove(old))
		}
	}
	if err != nil {
		c.config.Log.Error("last good configuration cannot be saved", "err", err)
	}
}

// encodeSnapshot writes a checksum, and then each type as a delta response
// with its length.
func encodeSnapshot(s *set) []byte {
	body := make([]byte, sha256.Size)
	for _, kind := range types {
		response := &discoveryv3.DeltaDiscoveryResponse{TypeUrl: kind, SystemVersionInfo: s.versions[kind]}
		for _, name := range slices.Sorted(maps.Keys(s.resources[kind])) {
			r := s.resources[kind][name]
			response.Resources = append(response.Resources, &discoveryv3.Resource{Name: name, Version: r.version, Resource: r.body})
		}
		raw, err := proto.Marshal(response)
		if err != nil {
			continue // cannot be: it was unmarshalled; the checksum is of what is there
		}
		body = protowire.AppendBytes(body, raw)
	}
	sum := sha256.Sum256(body[sha256.Size:])
	copy(body, sum[:])
	return body
}

func decodeSnapshot(raw []byte) (*set, error) {
	if len(raw) < sha256.Size {
		return nil, errSnapshot
	}
	body := raw[sha256.Size:]
	if sum := sha256.Sum256(body); !bytes.Equal(sum[:], raw[:sha256.Size]) {
		return nil, errSnapshot
	}
	s := newSet()
	for len(body) > 0 {
		part, n := protowire.ConsumeBytes(body)
		if n < 0 {
			return nil, errSnapshot
		}
		body = body[n:]
		response := new(discoveryv3.DeltaDiscoveryResponse)
		if err := proto.Unmarshal(part, response); err != nil {
			return nil, fmt.Errorf("%w: %w", errSnapshot, err)
		}
		if !slices.Contains(types, response.GetTypeUrl()) {
			continue // of a version that knows more
		}
		u := &update{kind: response.GetTypeUrl(), version: response.GetSystemVersionInfo(), put: map[string]*resource{}}
		for _, r := range response.GetResources() {
			if err := u.add(r.GetName(), r.GetVersion(), r.GetResource()); err != nil {
				return nil, fmt.Errorf("%w: %w", errSnapshot, err)
			}
		}
		if err := s.apply(u); err != nil {
			return nil, err
		}
	}
	return s, nil
}
