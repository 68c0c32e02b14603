package quota

import (
	"math"
	"time"
)

const (
	// surplus is wanted beyond the demand of a lifetime.
	surplus = 1.25
	// smoothing is the weight of the newest measurement of demand.
	smoothing = 0.5
	// shortestMeasure of demand; what comes within less is no rate yet.
	shortestMeasure = Lifetime / 4
	// shortestWait is told where an answer is on its way.
	shortestWait = 50 * time.Millisecond
	// patience is after how long a key whose limit is used up is asked for
	// again: a part of what comes is ours.
	patience = Lifetime / 10
)

// entry is what a replica has of one key. Its shard's mu guards it.
type entry struct {
	key   string
	shard *shard

	parts  [2]part // in use, and next
	leased int64   // tokens that the newest slice began with
	came   time.Time

	known bool  // the ledger has answered
	heard Slice // what
	at    time.Time
	asked bool // or about to be

	spent    int64 // without a slice, not charged yet
	unused   int64 // to be given back
	taken    int64 // takes since measured
	measured time.Time
	demand   float64 // takes per second, smoothed
	last     time.Time
}

// part is the tokens of one slice, with its end.
type part struct {
	tokens int64
	until  time.Time
}

// take takes a token, and tells whether to ask the ledger.
func (e *entry) take(s *size, replicas float64, away bool, now time.Time) (grant Grant, ask bool) {
	e.taken++
	e.last = now
	if e.next(now) {
		e.parts[0].tokens--
		return Grant{Kind: Granted}, e.parts[1].tokens == 0 &&
			(2*e.parts[0].tokens <= e.leased || 2*now.Sub(e.came) >= Lifetime)
	}
	switch {
	case away:
		return Grant{Kind: Away}, true
	case !e.known:
		if float64(e.spent) < max(s.burst/replicas, 1) {
			e.spent++
		}
		return Grant{Kind: Asked}, true
	}
	free := min(e.heard.Free+now.Sub(e.at).Seconds()*e.heard.Growth, max(s.burst/replicas, 1))
	if float64(e.spent+1) <= free {
		e.spent++
		return Grant{Kind: Granted}, float64(4*e.spent) >= free
	}
	wait := time.Duration((float64(e.spent+1) - free) / e.heard.Growth * float64(time.Second))
	return Grant{Kind: Refused, Wait: max(wait, shortestWait)}, e.spent > 0 || now.Sub(e.at) >= patience
}

// next makes the first part one with tokens, if there is any.
func (e *entry) next(now time.Time) bool {
	for range e.parts {
		if e.parts[0].tokens > 0 {
			if now.Before(e.parts[0].until) {
				return true
			}
			e.unused += e.parts[0].tokens
		}
		e.parts[0], e.parts[1] = e.parts[1], part{}
	}
	return false
}

// ask measures the demand and wants as much as it needs for a lifetime.
func (e *entry) ask(now time.Time) Ask {
	if passed := now.Sub(e.measured); passed >= shortestMeasure {
		measured := float64(e.taken) / passed.Seconds()
		e.demand += (measured - e.demand) * smoothing
		e.taken, e.measured = 0, now
	}
	a := Ask{Demand: e.demand, Spent: e.spent, Unused: e.unused}
	if need := e.demand * Lifetime.Seconds(); need >= 1 {
		e.next(now)
		a.Unused = e.unused
		a.Want = max(int64(math.Ceil(need*surplus))-e.parts[0].tokens-e.parts[1].tokens, 0)
	}
	e.spent, e.unused = 0, 0
	return a
}

// answered puts a slice in use.
func (e *entry) answered(slice Slice, now time.Time) {
	e.asked, e.known = false, true
	e.heard, e.at = slice, now
	if slice.Tokens == 0 {
		return
	}
	e.leased, e.came = slice.Tokens, now
	fresh := part{tokens: slice.Tokens, until: now.Add(Lifetime)}
	switch {
	case !e.next(now):
		e.parts[0] = fresh
	default:
		e.unused += e.parts[1].tokens // there is none, unless two calls overlapped
		e.parts[1] = fresh
	}
}
