package ads

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
)

// maxDiffs bounds the differences that a group keeps: subscribers are at the
// group before it, or at few others.
const maxDiffs = 16

// serial numbers groups, so that a difference need not hold the older one.
var serial atomic.Uint64

// group is the resources of one type. It is never changed.
type group struct {
	kind      kind
	number    uint64 // rises with every change
	version   string // the number, and a digest of the content
	serial    uint64
	resources []*Resource // ordered by name

	all func() [2][]byte // bodies with every resource: state of the world, delta

	mu    sync.Mutex
	diffs map[uint64]*diff // from groups, by their serial
}

func newGroup(k kind, number uint64, resources []*Resource) *group {
	g := &group{kind: k, number: number, serial: serial.Add(1), resources: resources, diffs: make(map[uint64]*diff)}
	digest := sha256.New()
	for _, r := range resources {
		_, _ = io.WriteString(digest, strconv.Itoa(len(r.Name))+":"+r.Name+r.Version)
	}
	g.version = strconv.FormatUint(number, 10) + "-" + hex.EncodeToString(digest.Sum(nil)[:versionBytes])
	g.all = sync.OnceValue(func() [2][]byte { return bodies(resources) })
	return g
}

// same tells whether a group would have the same resources.
func (g *group) same(resources []*Resource) bool {
	return g != nil && slices.EqualFunc(g.resources, resources, func(a, b *Resource) bool {
		return a == b || a.Name == b.Name && a.Version == b.Version
	})
}

// find returns a resource by name, nil where there is none.
func (g *group) find(name string) *Resource {
	if n, found := slices.BinarySearchFunc(g.resources, name, byName); found {
		return g.resources[n]
	}
	return nil
}

// diff is what changed from one group to another. It is never changed.
type diff struct {
	changed []*Resource // new or with another version, ordered by name
	removed []*Resource // as they were
	all     func() [2][]byte
}

func byName(r *Resource, name string) int { return cmp.Compare(r.Name, name) }

// changes tells whether a resource is among those changed.
func (d *diff) changes(name string) bool {
	_, found := slices.BinarySearchFunc(d.changed, name, byName)
	return found
}

// from returns the difference to an older group, nil meaning an empty one. It
// is computed once for all subscribers.
func (g *group) from(older *group) *diff {
	if older == g {
		return &diff{all: func() [2][]byte { return [2][]byte{} }}
	}
	var key uint64
	if older != nil {
		key = older.serial
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if known, found := g.diffs[key]; found {
		return known
	}
	made := new(diff)
	if older == nil {
		made.changed, made.all = g.resources, g.all
	} else {
		made.changed, made.removed = compare(older.resources, g.resources)
		changed := made.changed
		made.all = sync.OnceValue(func() [2][]byte { return bodies(changed) })
	}
	if len(g.diffs) < maxDiffs {
		g.diffs[key] = made
	}
	return made
}

// compare merges two ordered lists.
func compare(before, after []*Resource) (changed, removed []*Resource) {
	for len(before) > 0 || len(after) > 0 {
		switch {
		case len(after) == 0 || len(before) > 0 && before[0].Name < after[0].Name:
			removed = append(removed, before[0])
			before = before[1:]
		case len(before) == 0 || after[0].Name < before[0].Name:
			changed = append(changed, after[0])
			after = after[1:]
		default:
			if before[0] != after[0] && before[0].Version != after[0].Version {
				changed = append(changed, after[0])
			}
			before, after = before[1:], after[1:]
		}
	}
	return changed, removed
}

// bodies joins resources, for state of the world and for delta.
func bodies(resources []*Resource) [2][]byte {
	var state, delta int
	for _, r := range resources {
		state += len(r.state)
		delta += len(r.delta)
	}
	joined := [2][]byte{make([]byte, 0, state), make([]byte, 0, delta)}
	for _, r := range resources {
		joined[0] = append(joined[0], r.state...)
		joined[1] = append(joined[1], r.delta...)
	}
	return joined
}
