package pressure

import (
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"connectrpc.com/connect"

	"github.com/backlot-video/backlot/kit/rpc"
	"github.com/backlot-video/backlot/kit/throttle"
)

// load is what came of all open loops of a load.
type load struct {
	rates     []float64 // of the closed loops before, between and after, in calls a second
	seconds   float64   // that count
	accepted  int
	inTime    int
	refused   int             // at the door, and before
	held      int             // of these: by their callers, and not sent
	given     int             // up, after they had waited: they are among the accepted, and late
	overdue   int             // the same, as the server counts them, in all of the time
	answers   []time.Duration // of accepted calls, from when they were due
	refusals  []time.Duration // from when they were to be sent
	sentAway  []time.Duration // of those that were sent
	delays    []time.Duration // of sending, behind when it was due
	trips     []time.Duration // of calls that the server answers at once at any load
	outboxLag float64         // seconds, at the end of the turn where it was longest
	atServer  histogram       // of refusals, as the server measures them; those that were given up too, which take longest
	batches   histogram       // of the ledger
	use       use             // of the machine, while they lasted
	rssBefore int64           // bytes
	rss       int64
}

// capacity is the calls a second of the closed loops around the open ones.
func (l *load) capacity() float64 {
	sum := (l.rates[0] + l.rates[len(l.rates)-1]) / 2
	for _, rate := range l.rates[1 : len(l.rates)-1] {
		sum += rate
	}
	return sum / float64(len(l.rates)-1)
}

func (l *load) goodput() float64 { return float64(l.inTime) / l.seconds / l.capacity() }

// until is when a call's time is over that was due to be sent at a time.
func (s *server) until(due time.Time) time.Time {
	if s.mode == plainQueue {
		return due.Add(longest)
	}
	return due.Add(patience)
}

// sending is a call of an open loop.
type sending struct {
	request          []byte
	due, sent, ended time.Time
	frame            []byte // of the answer, as it came
	err              error  // where none came
}

// errHeld is of a call that was not sent.
var errHeld = connect.NewError(connect.CodeResourceExhausted, errors.New("held back"))

// fresh has the callers of a loop know nothing of those before: they are others.
func (s *server) fresh() {
	if s.mode == throttled {
		s.held = new(throttle.Throttle)
	}
}

// exchange makes a call, unless it is held back, as rpc.Dialer's would be.
func (s *server) exchange(until time.Time, request []byte) (frame []byte, err error) {
	if s.held == nil {
		return s.books.exchange(until, request)
	}
	if _, allowed := s.held.Allow(time.Now(), rand.Float64(), throttling); !allowed {
		return nil, errHeld
	}
	frame, err = s.books.exchange(until, request)
	if refuses(frame) {
		s.held.Refused(time.Now(), 0, throttling)
	} else {
		s.held.Accepted(time.Now(), throttling)
	}
	return frame, err
}

// throttling is what the house's clients do unless they are told otherwise.
var throttling = throttle.Policy{SurplusPPM: rpc.DefaultSurplusPPM, Window: rpc.DefaultCounted}

// open sends calls at random times, so many a second, whether or not those
// before have been answered. What is answered is looked at when all are.
func (s *server) open(l *load, perSecond float64) error {
	s.fresh()
	source := newSource(s.random.Uint64())
	source.prepare(int(1.1 * perSecond * openFor.Seconds()))
	before, err := s.marks()
	if err != nil {
		return err
	}
	used, probed := s.using(), s.probing()
	idle := make(chan *sending) // to callers who have nothing to do
	var group sync.WaitGroup
	var all []*sending
	begun := time.Now()
	for due := begun; ; {
		due = due.Add(time.Duration(s.random.ExpFloat64() / perSecond * float64(time.Second)))
		if due.Sub(begun) > openFor {
			break
		}
		c := &sending{request: source.next(), due: due}
		time.Sleep(time.Until(due)) //nolint:forbidigo // calls are due at times, whatever becomes of others
		c.sent = time.Now()
		all = append(all, c)
		select {
		case idle <- c:
		default:
			group.Go(func() {
				s.send(c)
				for c := range idle {
					s.send(c)
				}
			})
		}
	}
	l.use.add(used())
	close(idle)
	group.Wait()
	trips, err := probed()
	if err = errors.Join(err, l.take(all, begun.Add(warm))); err != nil {
		return err
	}
	after, err := s.marks()
	if err != nil {
		return err
	}
	l.trips = append(l.trips, trips...)
	l.outboxLag = max(l.outboxLag, after.outboxLag)
	l.atServer.add(after.refusals.minus(before.refusals))
	l.batches.add(after.batches.minus(before.batches))
	l.overdue += after.overdue - before.overdue
	l.seconds += (openFor - warm).Seconds()
	return nil
}

// send makes a call of an open loop.
func (s *server) send(c *sending) {
	c.frame, c.err = s.exchange(s.until(c.due), c.request)
	c.ended, c.request = time.Now(), nil
}

// take looks at what came of calls, and counts those that were due from a time
// on.
func (l *load) take(all []*sending, counts time.Time) error {
	var answers [][]byte
	for _, c := range all {
		answer, err := c.frame, c.err
		if err == nil {
			answer, err = answerOf(c.frame)
		}
		if err == nil {
			answers = append(answers, answer)
		}
		if c.due.Before(counts) {
			continue
		}
		l.delays = append(l.delays, c.sent.Sub(c.due))
		if !l.note(err, c.due, c.sent, c.ended) {
			return err
		}
	}
	return check(answers)
}

// givenUp tells a refusal of a call that was let wait, by what admission.Refusal
// says of it.
func givenUp(err error) bool { return err != nil && strings.Contains(err.Error(), "it waited") }

// note counts a call, false where its error is none that is expected. One
// whose deadline passed was accepted, and late; so is one that is given up after
// it was let wait.
func (l *load) note(err error, due, sent, ended time.Time) bool {
	switch {
	case err == nil:
		l.accepted++
		l.answers = append(l.answers, ended.Sub(due))
		if ended.Sub(due) <= patience {
			l.inTime++
		}
	case givenUp(err):
		l.accepted++
		l.given++
	case connect.CodeOf(err) == connect.CodeResourceExhausted:
		l.refused++
		l.refusals = append(l.refusals, ended.Sub(sent))
		if errors.Is(err, errHeld) {
			l.held++
		} else {
			l.sentAway = append(l.sentAway, ended.Sub(sent))
		}
	case connect.CodeOf(err) == connect.CodeDeadlineExceeded:
		l.accepted++
		l.answers = append(l.answers, ended.Sub(due))
	default:
		return false
	}
	return true
}
