package throttle

import (
	"math/rand/v2"
	"testing"
	"time"
)

var limits = Policy{SurplusPPM: 250_000, Window: 500 * time.Millisecond}

// service accepts so many calls a second, and refuses the others at once.
type service struct {
	perSecond float64
	room      float64
	at        time.Time
}

func (s *service) accepts(now time.Time) bool {
	s.room = min(s.room+now.Sub(s.at).Seconds()*s.perSecond, max(1, s.perSecond/20))
	s.at = now
	if s.room < 1 {
		return false
	}
	s.room--
	return true
}

// tally is what came of calls.
type tally struct{ calls, accepted, refused, held int }

// load makes so many calls a second for a time, at random.
func load(t *Throttle, s *service, random *rand.Rand, perSecond float64, from time.Time, lasts time.Duration) (n tally) {
	for now := from; now.Sub(from) < lasts; now = now.Add(time.Duration(random.ExpFloat64() / perSecond * float64(time.Second))) {
		n.calls++
		_, allowed := t.Allow(now, random.Float64(), limits)
		switch {
		case !allowed:
			n.held++
		case s.accepts(now):
			n.accepted++
			t.Accepted(now, limits)
		default:
			n.refused++
			t.Refused(now, time.Second, limits)
		}
	}
	return n
}

var start = time.Unix(1_700_000_000, 0)

func TestServiceRefusesLittleAndIsKeptBusy(t *testing.T) {
	for _, times := range []float64{0.5, 1, 1.4, 3, 8} {
		const capacity, seconds = 1000, 20
		random, s := rand.New(rand.NewPCG(1, 2)), &service{perSecond: capacity, at: start}
		n := load(new(Throttle), s, random, times*capacity, start, seconds*time.Second)
		wanted := min(times, 1) * capacity * seconds
		if float64(n.accepted) < 0.97*wanted {
			t.Errorf("%v times what it can: it did %d of %v", times, n.accepted, wanted)
		}
		if most := 0.3 * wanted; float64(n.refused) > most || times < 1 && n.held > 0 {
			t.Errorf("%v times: it refused %d, more than %v; %d were held back", times, n.refused, most, n.held)
		}
		if times == 3 && n.held < n.calls/3 {
			t.Errorf("only %d of %d were held back", n.held, n.calls)
		}
	}
}

func TestRefusalsThatAreOverAreForgotten(t *testing.T) {
	random, s, one := rand.New(rand.NewPCG(3, 4)), &service{perSecond: 1000, at: start}, new(Throttle)
	load(one, s, random, 5000, start, 5*time.Second)
	s.perSecond = 0 // for a while it does nothing at all
	now := start.Add(5 * time.Second)
	n := load(one, s, random, 500, now, 30*time.Second)
	if n.refused < n.calls/20 || n.refused > n.calls/5 {
		t.Errorf("%d of %d were sent to a service that refuses all", n.refused, n.calls)
	}
	s.perSecond, s.at = 1000, now.Add(30*time.Second)
	now = s.at
	load(one, s, random, 500, now, 6*time.Second)
	if n := load(one, s, random, 500, now.Add(6*time.Second), 5*time.Second); n.held > 0 {
		t.Errorf("%d of %d are held back 6 s after it accepts all again", n.held, n.calls)
	}
	if one.Calm(now.Add(11*time.Second), limits) || !one.Calm(now.Add(30*time.Second), limits) {
		t.Error("it is calm while calls count, or is not when none does")
	}
}

func TestHeldBackCallIsToldWhatTheServiceSaid(t *testing.T) {
	one := new(Throttle)
	for i := range 100 {
		if _, allowed := one.Allow(start, 0, limits); i < spared && !allowed {
			t.Errorf("a call is held back after %d refusals", i)
		}
		one.Refused(start, 700*time.Millisecond, limits)
	}
	if after, allowed := one.Allow(start, 0.5, limits); allowed || after != 700*time.Millisecond {
		t.Errorf("allowed %v, after %v", allowed, after)
	}
	if _, allowed := one.Allow(start, 0, Policy{SurplusPPM: Off, Window: time.Second}); !allowed {
		t.Error("it is held back where that is turned off")
	}
	if _, allowed := one.Allow(start, 0.95, limits); !allowed {
		t.Error("nothing is sent any more")
	}
	one = new(Throttle)
	if _, allowed := one.Allow(start, 0, limits); !allowed {
		t.Error("the first call is held back")
	}
}
