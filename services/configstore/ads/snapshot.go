package ads

import (
	"cmp"
	"slices"

	"google.golang.org/protobuf/proto"

	gatewayv1 "github.com/backlot-video/backlot/proto/gen/backlot/gateway/v1"
)

// Snapshot is a whole configuration. It is never changed.
type Snapshot struct {
	release  string
	revision int64
	groups   [kinds]*group
}

// At says at which revision of the store the snapshot is, before it is
// published.
func (s *Snapshot) At(revision int64) { s.revision = revision }

// Revision is that of At; 0 where it is not known.
func (s *Snapshot) Revision() int64 { return s.revision }

// Release is the one that the snapshot is of.
func (s *Snapshot) Release() string { return s.release }

// Version of a type, empty where it is not known.
func (s *Snapshot) Version(typeURL string) string {
	if k, known := kindOf(typeURL); known {
		return s.groups[k].version
	}
	return ""
}

// Next makes the snapshot that follows previous, which may be nil, of
// resources by type; unknown types are left out. A type whose resources are
// the same keeps its version. Versions of others rise: they begin with number
// where that is higher than before. changed is false where all is the same,
// and the snapshot then previous.
func Next(previous *Snapshot, release string, number uint64, resources map[string][]*Resource) (next *Snapshot, changed bool) {
	next = &Snapshot{release: release}
	changed = previous == nil || previous.release != release
	manifest := &gatewayv1.Manifest{ReleaseId: release, Versions: make(map[string]string, manifests)}
	for k := range manifests {
		sorted := slices.Clone(resources[typeURLs[k]])
		slices.SortFunc(sorted, func(a, b *Resource) int { return cmp.Compare(a.Name, b.Name) })
		fresh := next.put(previous, k, number, sorted)
		changed = changed || fresh
		manifest.Versions[typeURLs[k]] = next.groups[k].version
	}
	if !changed {
		return previous, false
	}
	// A map of strings cannot fail to be marshalled.
	body, _ := proto.MarshalOptions{Deterministic: true}.Marshal(manifest)
	next.put(previous, manifests, number, []*Resource{NewResource(ManifestType, "manifest", body)})
	return next, true
}

func (s *Snapshot) put(previous *Snapshot, k kind, number uint64, resources []*Resource) (changed bool) {
	if previous != nil {
		before := previous.groups[k]
		if before.same(resources) {
			s.groups[k] = before
			return false
		}
		number = max(number, before.number+1)
	}
	s.groups[k] = newGroup(k, number, resources)
	return true
}
