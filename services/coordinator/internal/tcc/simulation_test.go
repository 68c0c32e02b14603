package tcc_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/backlot-video/backlot/services/coordinator/internal/tcc"
)

// TestSimulation drives transactions over a network that loses, repeats and
// reorders, with crashes between any two steps, and checks after each of
// them. BACKLOT_SEED=n replays one seed.
func TestSimulation(t *testing.T) {
	first, count := uint64(1), uint64(4000)
	if text := os.Getenv("BACKLOT_SEED"); text != "" {
		seed, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		first, count = seed, 1
	}
	ends := map[tcc.State]int{}
	for seed := first; seed < first+count; seed++ {
		world := newWorld(seed)
		if err := world.run(); err != nil {
			t.Fatalf("replay with BACKLOT_SEED=%d: %v\n%s", seed, err, world.trace())
		}
		ends[world.machine.State()]++
	}
	if count > 1 && (ends[tcc.Confirmed] < 100 || ends[tcc.Cancelled] < 100) {
		t.Errorf("the simulation does not reach both ends: %v", ends)
	}
}

// message is a phase call on its way to a participant, or its answer back.
type message struct {
	call   tcc.Call
	answer *tcc.Result
	epoch  int // of the process that made the call; answers to a dead one are lost
}

// participant does what kit/tcc's barrier promises, and remembers.
type participant struct {
	tried, confirmed, cancelled bool
	moody                       float64 // how likely a fresh Try is refused
}

// world is a coordinator, its log, its participants and what is in flight.
type world struct {
	random       *rand.Rand
	spec         tcc.Spec
	machine      *tcc.Machine
	log          []tcc.Record // durable
	wire         []message
	participants []participant
	epoch        int
	history      []string
	calm         bool // no more faults: everything must come to an end
}

func newWorld(seed uint64) *world {
	w := &world{random: rand.New(rand.NewPCG(seed, 1))}
	w.spec.Mode = tcc.TCC
	if w.random.IntN(3) == 0 {
		w.spec.Mode = tcc.Saga
	}
	for i := range 1 + w.random.IntN(4) {
		w.spec.Branches = append(w.spec.Branches, tcc.Branch{ID: strconv.Itoa(i), Service: "s", Action: "a"})
		w.participants = append(w.participants, participant{moody: []float64{0, 0, 0.3}[w.random.IntN(3)]})
	}
	w.machine = tcc.New(w.spec, 3)
	return w
}

func (w *world) run() error {
	if err := w.take(w.machine.Begin()); err != nil {
		return err
	}
	for range 60 {
		if err := w.step(); err != nil {
			return err
		}
	}
	w.calm = true
	if err := w.crash(); err != nil {
		return err
	}
	for range 400 {
		if w.machine.State().Ended() && len(w.wire) == 0 {
			break
		}
		if w.machine.State() == tcc.Parked {
			if err := w.take(w.machine.Retry()); err != nil {
				return err
			}
		}
		if len(w.wire) == 0 {
			return fmt.Errorf("stuck in %v", w.machine.State())
		}
		if err := w.deliver(0); err != nil {
			return err
		}
	}
	return w.settled()
}

func (w *world) step() error {
	switch dice := w.random.IntN(100); {
	case dice < 6:
		return w.crash()
	case dice < 9:
		w.note("expire")
		return w.take(w.machine.Expire())
	case dice < 12:
		w.note("retry")
		return w.take(w.machine.Retry())
	case len(w.wire) == 0:
		return nil
	case dice < 20: // repeat
		w.wire = append(w.wire, w.wire[w.random.IntN(len(w.wire))])
		return nil
	case dice < 35: // lose; the caller sees a failure in the end
		i := w.random.IntN(len(w.wire))
		lost := w.wire[i]
		w.wire = append(w.wire[:i], w.wire[i+1:]...)
		w.note("lost %+v", lost.call)
		if lost.epoch != w.epoch {
			return nil
		}
		return w.take(w.machine.Step(tcc.Result{Call: lost.call, Outcome: tcc.Failed, Problem: "lost"}))
	default:
		return w.deliver(w.random.IntN(len(w.wire)))
	}
}

// crash kills the process: at times in the middle of what it was about to do.
func (w *world) crash() error {
	w.note("crash")
	w.epoch++
	restored, err := tcc.Restore(w.spec, 3, w.log)
	if err != nil {
		return err
	}
	w.machine = restored
	if len(w.log) == 0 {
		return w.take(w.machine.Begin())
	}
	return w.take(w.machine.Resume())
}

// take does what an output asks for, unless the process dies on the way.
func (w *world) take(out tcc.Output) error {
	if !w.calm && len(out.Records) > 0 && w.random.IntN(12) == 0 {
		return w.crash() // before the records are durable
	}
	for _, record := range out.Records {
		w.note("log %v", record)
	}
	w.log = append(w.log, out.Records...)
	if !w.calm && len(out.Calls) > 0 && w.random.IntN(12) == 0 {
		return w.crash() // after it, before the calls
	}
	for _, call := range out.Calls {
		if !w.logged(call) {
			return fmt.Errorf("call %+v is not in the log", call)
		}
		w.wire = append(w.wire, message{call: call, epoch: w.epoch})
	}
	return nil
}

// logged is the rule that each phase is in the log before it is called.
func (w *world) logged(call tcc.Call) bool {
	for _, record := range w.log {
		if record.Branch == call.Branch && record.Phase == call.Phase && record.Status == tcc.StatusStarted {
			return true
		}
	}
	return false
}

// deliver hands one message over: a call to its participant, an answer back.
func (w *world) deliver(i int) error {
	m := w.wire[i]
	w.wire = append(w.wire[:i], w.wire[i+1:]...)
	if m.answer != nil {
		if m.epoch != w.epoch {
			return nil
		}
		w.note("answer %+v %v", m.call, m.answer.Outcome)
		return w.take(w.machine.Step(*m.answer))
	}
	outcome, err := w.act(m.call)
	if err != nil {
		return err
	}
	w.note("served %+v %v", m.call, outcome)
	m.answer = &tcc.Result{Call: m.call, Outcome: outcome, Problem: "moody"}
	w.wire = append(w.wire, m)
	return nil
}

// act is the participant's side; it fails on what must never be asked of it.
func (w *world) act(call tcc.Call) (tcc.Outcome, error) {
	p := &w.participants[call.Branch]
	switch call.Phase {
	case tcc.Try:
		switch {
		case p.tried && !p.cancelled:
			return tcc.Succeeded, nil
		case p.cancelled, p.moody > 0 && w.random.Float64() < p.moody:
			return tcc.Refused, nil
		}
		p.tried = true
	case tcc.Confirm:
		if !p.tried || p.cancelled {
			return 0, fmt.Errorf("confirm of branch %d: tried %v, cancelled %v", call.Branch, p.tried, p.cancelled)
		}
		p.confirmed = true
	case tcc.Cancel:
		if p.confirmed {
			return 0, fmt.Errorf("cancel of branch %d after its confirm", call.Branch)
		}
		p.cancelled = true
	}
	if !w.calm && w.random.IntN(10) == 0 {
		return tcc.Failed, nil // done, yet the answer is an error
	}
	return tcc.Succeeded, nil
}

// settled checks the end: all or nothing, and the log tells the same.
func (w *world) settled() error {
	state := w.machine.State()
	if !state.Ended() {
		return fmt.Errorf("not ended but %v", state)
	}
	for i, p := range w.participants {
		effect := p.tried && !p.cancelled
		if w.spec.Mode == tcc.TCC {
			effect = p.confirmed
		}
		if effect != (state == tcc.Confirmed) {
			return fmt.Errorf("%v, but branch %d is %+v", state, i, p)
		}
		if p.tried && !p.cancelled && state == tcc.Cancelled {
			return fmt.Errorf("branch %d keeps its reservation", i)
		}
	}
	again, err := tcc.Restore(w.spec, 3, w.log)
	if err != nil {
		return err
	}
	if again.State() != state {
		return fmt.Errorf("%v, but the log says %v", state, again.State())
	}
	return nil
}

func (w *world) note(format string, args ...any) {
	w.history = append(w.history, fmt.Sprintf(format, args...))
}

func (w *world) trace() string {
	return fmt.Sprintf("%v with %d branches\n", w.spec.Mode, len(w.spec.Branches)) + strings.Join(w.history, "\n")
}
