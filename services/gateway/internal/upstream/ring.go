package upstream

import (
	"cmp"
	"slices"
	"sort"
	"strconv"
)

const (
	// pointsPerWeight on the ring: with 128 the shares of equals differ by
	// some 9% from the mean (one standard deviation).
	pointsPerWeight = 128
	// mostPoints bounds a ring, but for one point of each member.
	mostPoints = 1 << 16
)

// ring is a hash ring of all members that are not leaving, usable or not, so
// that a key comes back to its endpoint when that has recovered. A point
// depends on nothing but the endpoint's address and the point's number, so
// that every gateway has the same ring and only the keys of an endpoint that
// comes or goes move.
type ring struct{ points []ringPoint }

type ringPoint struct {
	hash     uint64
	endpoint *Endpoint
}

func newRing(members []member) *ring {
	total := uint64(0)
	for _, m := range members {
		total += uint64(m.weight)
	}
	shift := 0 // halves everybody's points until they fit
	for total*pointsPerWeight>>shift > mostPoints {
		shift++
	}
	r := &ring{}
	for _, m := range members {
		if m.leaving {
			continue
		}
		for i := range max(uint64(m.weight)*pointsPerWeight>>shift, 1) {
			r.points = append(r.points, ringPoint{hashOf(m.key.address, i), m.Endpoint})
		}
	}
	slices.SortFunc(r.points, func(a, b ringPoint) int {
		return cmp.Or(cmp.Compare(a.hash, b.hash), cmp.Compare(a.endpoint.key.address, b.endpoint.key.address))
	})
	return r
}

// pick is the owner of the first point from hash on that is usable and was not
// tried. all says that health is not looked at. There is a point.
func (r *ring) pick(hash uint64, all bool, tried []*Endpoint) *Endpoint {
	start := sort.Search(len(r.points), func(i int) bool { return r.points[i].hash >= hash })
	fallback := (*Endpoint)(nil)
	for i := range r.points {
		e := r.points[(start+i)%len(r.points)].endpoint
		if !all && !e.usable() {
			continue
		}
		if !slices.Contains(tried, e) {
			return e
		}
		if fallback == nil {
			fallback = e
		}
	}
	if fallback == nil { // none became usable since it was chosen
		return r.points[start%len(r.points)].endpoint
	}
	return fallback
}

// hashOf is FNV-1a of the address and the point's number, mixed.
func hashOf(address string, point uint64) uint64 {
	hash := uint64(14695981039346656037)
	var buffer [20]byte
	for _, part := range [][]byte{[]byte(address), {'#'}, strconv.AppendUint(buffer[:0], point, 10)} {
		for _, c := range part {
			hash = (hash ^ uint64(c)) * 1099511628211
		}
	}
	return mix(hash)
}
