package engine

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Profile is how patient members are with each other. Failover takes about two
// election times. An election time has to be longer than the longest stall
// that is no failure, with a round trip on top: measured, delay alone led to no
// needless election even at 500 ms one way, stalls did.
type Profile struct {
	Heartbeat time.Duration
	Election  time.Duration
}

// Profiles by name. Measured with three members, 75 ms one way and stalls of
// 2 s: lan had 4.2 changes of the leader a minute and lost 12% of writes
// meanwhile, the others none. PreVote is on in all: without it the cluster was
// leaderless 11% of the time.
var Profiles = map[string]Profile{
	// One building, or zones of a region: round trips up to 10 ms.
	"lan": {100 * time.Millisecond, time.Second},
	// A region whose disks or hosts stall for a second now and then.
	"region": {200 * time.Millisecond, 2 * time.Second},
	// Regions of a continent: round trips up to 200 ms, stalls of 2 s.
	"wan": {300 * time.Millisecond, 3 * time.Second},
	// Across oceans: round trips up to 500 ms, stalls of 4 s.
	"far": {500 * time.Millisecond, 5 * time.Second},
}

// ProfileNames are those of Profiles, the quickest first.
func ProfileNames() []string {
	return slices.SortedFunc(maps.Keys(Profiles), func(a, b string) int {
		return int(Profiles[a].Election - Profiles[b].Election)
	})
}

// ProfileByName finds a profile.
func ProfileByName(name string) (Profile, error) {
	profile, found := Profiles[name]
	if !found {
		return Profile{}, fmt.Errorf("%q is none of %s", name, strings.Join(ProfileNames(), ", "))
	}
	return profile, nil
}

// Recommend is the quickest profile that stands round trips and stalls as they
// were measured; the slowest where none does, and fits is false.
func Recommend(roundTrip, stall time.Duration) (name string, fits bool) {
	names := ProfileNames()
	for _, name := range names {
		// Half of the election time is for heartbeats that were on their way.
		p := Profiles[name]
		if stall+roundTrip < p.Election && roundTrip < p.Heartbeat+p.Election/10 {
			return name, true
		}
	}
	return names[len(names)-1], false
}
