package catalog

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/backlot-video/backlot/services/rules"
	"github.com/backlot-video/backlot/services/rules/internal/rollout"
)

// Beside is a second version of a ruleset, which judges the same facts as the
// one in force while a rollout runs: in shadow and as a canary the new one,
// and the former one when the new one is in force already.
type Beside struct {
	Version string       `json:"version"`
	Source  string       `json:"source"`
	Plan    rollout.Plan `json:"plan"`
	// Fault tells that Source is not at hand.
	Fault error `json:"-"`
}

// beside judges facts by a second program.
type beside struct {
	ruleset string
	program *rules.Program
	plan    rollout.Plan
	key     rollout.Key
	labels  map[string]string // of the replica
	tracker *rollout.Tracker
	ids     *eventIDs
	clock   func() time.Time
	spare   sync.Pool // of *spare
}

// spare is what the version that is not the answer judges into.
type spare struct {
	decision rules.Decision
	id       []byte
}

// errPanic is a bug of the compiler that must not take a fact down.
var errPanic = errors.New("program panicked")

// answers tells whether the second program's verdict is the answer.
func (b *beside) answers(q *Query, wire []byte) bool {
	tripped := b.tracker.Tripped() != ""
	switch b.plan.Stage {
	case rollout.Full:
		return tripped // then the former version answers until the rollback is done
	case rollout.Canary:
		if tripped {
			return false
		}
		if b.plan.Matches(q.Labels, b.labels) {
			return true
		}
		if b.plan.PPM == 0 {
			return false
		}
		if b.plan.By == "" {
			return b.plan.PPM == 1_000_000
		}
		value, found := b.key.Value(wire)
		return found && rollout.Chosen(b.ruleset, value, b.plan.PPM)
	default:
		return false
	}
}

// judge lets both programs judge a fact. The caller gets the verdict of one of
// them, and of the other one where that one fails alone.
func (b *beside) judge(live *rules.Program, q *Query, wire []byte, d *rules.Decision) error {
	candidate, other := b.program, live
	answers := b.answers(q, wire)
	if b.plan.Stage == rollout.Full {
		candidate, other, answers = live, b.program, !answers
	}
	began := b.clock()
	if b.tracker.Spared(began) {
		return other.Evaluate(wire, d, &q.Request)
	}
	s := b.spare.Get().(*spare)
	defer b.spare.Put(s)
	request := q.Request
	if request.EventID == "" {
		// Both versions count a fact; by its id it is counted once.
		s.id = b.ids.next(s.id[:0])
		request.EventID = unsafe.String(unsafe.SliceData(s.id), len(s.id))
	}
	aside := request
	aside.Trace = false

	var newer, older rollout.Outcome
	var newerErr, olderErr error
	if answers {
		newer, newerErr = b.timed(candidate, wire, d, &request)
		older, olderErr = b.timed(other, wire, &s.decision, &aside)
		newer.Answered = newerErr == nil
	} else {
		older, olderErr = b.timed(other, wire, d, &request)
		newer, newerErr = b.timed(candidate, wire, &s.decision, &aside)
	}
	older.Answered = !newer.Answered
	b.tracker.Observe(newer, older)
	b.tracker.Slow(newer.Took, b.clock())
	if answers && newerErr != nil && olderErr == nil {
		*d, s.decision = s.decision, *d
		return nil
	}
	if answers {
		return newerErr
	}
	return olderErr
}

// timed judges a fact and measures it.
func (b *beside) timed(program *rules.Program, wire []byte, d *rules.Decision, request *rules.Request) (o rollout.Outcome, err error) {
	began := b.clock()
	err = guarded(program, wire, d, request)
	o.Took = b.clock().Sub(began)
	if err != nil {
		o.Failed = true
		return o, err
	}
	o.Failed = d.Unknown.Overflow > 0 || d.Unknown.Currency > 0
	o.Denied, o.Verdict = d.Action == rules.Deny, uint8(d.Action)
	return o, nil
}

func guarded(program *rules.Program, wire []byte, d *rules.Decision, request *rules.Request) (err error) {
	defer func() {
		if reason := recover(); reason != nil {
			err = fmt.Errorf("%w: %v", errPanic, reason)
		}
	}()
	return program.Evaluate(wire, d, request)
}

// eventIDs makes ids that no other process makes.
type eventIDs struct {
	prefix string
	last   atomic.Uint64
}

func newEventIDs() *eventIDs {
	var random [8]byte
	_, _ = rand.Read(random[:]) // never fails
	return &eventIDs{prefix: "~" + hex.EncodeToString(random[:]) + "-"}
}

func (e *eventIDs) next(into []byte) []byte {
	return strconv.AppendUint(append(into, e.prefix...), e.last.Add(1), 36)
}
