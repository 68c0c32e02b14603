package quota

import (
	"math"
	"slices"
	"time"
)

const (
	// mostClaims bounds the replicas among which a bucket is divided; further
	// ones get what is there.
	mostClaims = 64
	// least is the share of the rate that is told even who wants nothing yet.
	least = 0.01
)

// claim is what a replica could use of a bucket, and how much of its part it
// has not had yet.
type claim struct {
	replica string
	demand  float64 // tokens per second
	credit  float64 // tokens
	at      time.Time
}

// lease takes tokens for a replica: as many as it wants, unless all together
// want more than comes. Then each may have the part of the rate that is fair,
// and such a part of what the bucket holds beyond what comes in a lifetime.
func (b *bucket) lease(replica string, ask *Ask, replicas int, now time.Time) Slice {
	most, growth, contested := b.level, b.rate, false
	mine := b.claim(replica, ask.Demand, now)
	if mine != nil {
		var part float64
		part, contested = b.part(ask.Demand)
		bound := max(part*Lifetime.Seconds(), 1)
		earned := part*now.Sub(mine.at).Seconds() + float64(ask.Unused-ask.Spent)
		mine.credit, mine.at = max(min(mine.credit+earned, bound), -bound), now
		if contested {
			spare := max(b.level-b.rate*Lifetime.Seconds(), 0) * part / b.rate
			most, growth = min(most, mine.credit+spare), max(part, least*b.rate)
		}
	}
	tokens := math.Floor(min(float64(ask.Want), max(most, 0)))
	b.level -= tokens
	if mine != nil {
		mine.credit = max(mine.credit-tokens, min(mine.credit, 0)) // the rest was to spare
	}
	free := most - tokens
	if !contested && free >= 1 { // an equal part, for the others may think so too
		free = max(free/float64(replicas), 1)
	}
	return Slice{Tokens: int64(tokens), Free: free, Growth: growth}
}

// claim finds or makes the claim of a replica, and drops those of replicas
// that have not asked for two lifetimes. nil: there are too many.
func (b *bucket) claim(replica string, demand float64, now time.Time) *claim {
	b.claims = slices.DeleteFunc(b.claims, func(c claim) bool {
		return c.replica != replica && now.Sub(c.at) > 2*Lifetime
	})
	for i := range b.claims {
		if b.claims[i].replica == replica {
			b.claims[i].demand = demand
			return &b.claims[i]
		}
	}
	if len(b.claims) >= mostClaims {
		return nil
	}
	// A newcomer has half a lifetime to its credit.
	b.claims = append(b.claims, claim{replica: replica, demand: demand, at: now.Add(-Lifetime / 2)})
	return &b.claims[len(b.claims)-1]
}

// part is the tokens per second that are fair for a demand: all of it where
// there is enough for everybody, else what is left of the rate when those who
// want less than an equal part have had theirs (max-min fairness).
func (b *bucket) part(demand float64) (part float64, contested bool) {
	var room [mostClaims]float64
	demands := room[:0]
	total := 0.0
	for i := range b.claims {
		demands = append(demands, b.claims[i].demand)
		total += b.claims[i].demand
	}
	if total <= b.rate {
		return demand, false
	}
	slices.Sort(demands)
	left := b.rate
	for i, d := range demands {
		equal := left / float64(len(demands)-i)
		if d >= equal {
			return min(demand, equal), true
		}
		left -= d
	}
	return demand, true
}
