package canary

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	"github.com/backlot-video/backlot/services/configstore/internal/ack"
)

// shelf is a store of one canary.
type shelf struct {
	now  func() time.Time
	c    *configstorev1.Canary
	fail error
}

func (s *shelf) LiveCanaries(context.Context) ([]Owned, error) {
	if s.c == nil {
		return nil, nil
	}
	return []Owned{{"main", proto.CloneOf(s.c)}}, nil
}

func (s *shelf) AdvanceCanary(_ context.Context, _ string, c *configstorev1.Canary, _ string) (*configstorev1.Canary, error) {
	if s.fail != nil {
		return nil, s.fail
	}
	s.c.Revisions = append(s.c.Revisions, c.GetRevision())
	s.c.Step, s.c.StepAt, s.c.Revision = c.GetStep()+1, s.now().UnixMicro(), c.GetRevision()+10
	return s.c, nil
}

func (s *shelf) PromoteCanary(context.Context, string, *configstorev1.Canary, string) (*configstorev1.Canary, error) {
	s.c.State = configstorev1.Canary_STATE_PROMOTED
	return s.c, nil
}

func (s *shelf) EndCanary(
	_ context.Context, _ string, _ *configstorev1.Canary, state configstorev1.Canary_State, _, why string,
) (*configstorev1.Canary, error) {
	s.c.State, s.c.Verdict = state, why
	return s.c, nil
}

func (s *shelf) ArchiveCanary(context.Context, string, *configstorev1.Canary) error {
	s.c = nil
	return nil
}

// world is instances, a clock, and a pilot over a shelf.
type world struct {
	clock     time.Time
	shelf     *shelf
	leads     bool
	instances map[string]*configstorev1.Report
	silent    []string
	pilot     *Pilot
}

// newWorld has 40 instances and a canary of one rule list, with steps that hold
// a minute each. Of the instances some are chosen by the first step.
func newWorld(t *testing.T, plan *configstorev1.Plan) *world {
	w := &world{clock: time.Unix(1_800_000_000, 0), leads: true, instances: map[string]*configstorev1.Report{}}
	for _, share := range []uint32{300_000, whole} {
		plan.Steps = append(plan.Steps, &configstorev1.Plan_Step{SharePpm: share, Hold: durationpb.New(time.Minute)})
	}
	w.shelf = &shelf{now: func() time.Time { return w.clock }, c: &configstorev1.Canary{
		Id: "c1", State: configstorev1.Canary_STATE_RUNNING, Plan: plan, Revision: 100, StepAt: w.clock.UnixMicro(),
		Changes: []*configstorev1.Change{{Change: &configstorev1.Change_Put{Put: &configstorev1.Object{Key: &configstorev1.Key{Kind: "RuleList", Name: "a"}}}}},
	}}
	for n := range 40 {
		id := fmt.Sprintf("i%02d", n)
		w.instances[id] = &configstorev1.Report{
			Subscriber: &configstorev1.Subscriber{Id: id}, StartedAt: 1, Sequence: 1,
			Kinds:  []*configstorev1.Acknowledgement{{Kind: "RuleList", Revision: 100}},
			Health: []*configstorev1.Health{{Name: "rpc", Good: 1000}},
		}
	}
	w.renew()
	if in, out := w.split(); len(in) < 5 || len(out) < 5 {
		t.Fatalf("%d chosen, %d not", len(in), len(out))
	}
	return w
}

// renew is another member that takes over.
func (w *world) renew() {
	w.pilot = NewPilot(Config{
		Store: w.shelf, Leads: func() bool { return w.leads }, Clock: func() time.Time { return w.clock }, Log: slog.New(slog.DiscardHandler),
		Reports: func(context.Context, string) ([]ack.Entry, []string) {
			var parts []ack.Entry
			for _, report := range w.instances {
				parts = append(parts, ack.Entry{Report: report, Heard: w.clock})
			}
			return ack.Merge(parts), w.silent
		},
	})
}

func (w *world) split() (in, out []*configstorev1.Report) {
	for _, report := range w.instances {
		if Has(w.shelf.c, report.GetSubscriber()) {
			in = append(in, report)
		} else {
			out = append(out, report)
		}
	}
	return in, out
}

// pass lets time go by, with a look every second.
func (w *world) pass(ctx context.Context, seconds int) {
	for range seconds {
		w.clock = w.clock.Add(time.Second)
		w.pilot.Look(ctx)
	}
}

// count lets instances have done so much more.
func count(reports []*configstorev1.Report, good, bad uint64) {
	for _, report := range reports {
		report.Health[0].Good += good
		report.Health[0].Bad += bad
	}
}

func (w *world) is(t *testing.T, step int32, state configstorev1.Canary_State, why string) {
	t.Helper()
	if c := w.shelf.c; c.GetStep() != step || c.GetState() != state || !strings.Contains(c.GetVerdict(), why) {
		t.Fatalf("step %d, %v, %q; want %d, %v, %q", c.GetStep(), c.GetState(), c.GetVerdict(), step, state, why)
	}
}

const (
	runs     = configstorev1.Canary_STATE_RUNNING
	promoted = configstorev1.Canary_STATE_PROMOTED
	back     = configstorev1.Canary_STATE_ROLLED_BACK
)

func TestCanaryGoesFromStepToStepAndToTheRelease(t *testing.T) {
	w := newWorld(t, &configstorev1.Plan{})
	w.pass(t.Context(), 59)
	w.is(t, 0, runs, "")
	w.shelf.fail = errors.New("no leader")
	w.pass(t.Context(), 5)
	w.is(t, 0, runs, "")
	w.shelf.fail = nil
	w.pass(t.Context(), 1)
	w.is(t, 1, runs, "")
	w.pass(t.Context(), 120) // the second step's revision is 110
	w.is(t, 1, runs, "")
	in, _ := w.split()
	if e := w.pilot.Evidence(t.Context(), "main", w.shelf.c); e.GetChosen() != 40 || !strings.Contains(e.GetWaitsFor(), "have not got it yet") {
		t.Errorf("evidence: %v", e)
	}
	for _, report := range in {
		report.Kinds[0].Revision = 110
	}
	w.pass(t.Context(), 1)
	w.is(t, 1, promoted, "")
	w.pass(t.Context(), 1)
	if w.shelf.c != nil {
		t.Error("not put away")
	}
}

func TestOneMemberActsAndAnotherGoesOn(t *testing.T) {
	w := newWorld(t, &configstorev1.Plan{})
	w.leads = false
	w.pass(t.Context(), 100)
	w.is(t, 0, runs, "")
	w.leads = true
	w.renew()
	w.pass(t.Context(), int(settleAfter/time.Second)-1)
	w.is(t, 0, runs, "")
	w.pass(t.Context(), 1)
	w.is(t, 1, runs, "")
}

func TestRejectionsTakeACanaryBack(t *testing.T) {
	w := newWorld(t, &configstorev1.Plan{Rejections: 1})
	in, out := w.split()
	reject := func(report *configstorev1.Report, name string, revision int64) {
		report.Kinds[0].Rejected = []*configstorev1.Rejection{{Namespace: "default", Name: name, Revision: revision, Reason: "no such rule"}}
	}
	reject(in[0], "a", 100)
	reject(in[1], "b", 100) // another object
	reject(in[2], "a", 99)  // what it had before
	reject(out[0], "a", 90)
	w.pass(t.Context(), 1)
	w.is(t, 0, runs, "")
	reject(in[1], "a", 100)
	w.pass(t.Context(), 1)
	w.is(t, 0, back, fmt.Sprintf("2 of %d rejected: no such rule (i", len(in)))
}

func TestHealthOutsideItsBandTakesACanaryBack(t *testing.T) {
	for name, c := range map[string]struct {
		band     *configstorev1.Band
		in, out  [2]uint64 // good and bad of each instance
		p99      [2]time.Duration
		back     string
		waits    string
		restarts bool
	}{
		"well":        {band: &configstorev1.Band{BadPpm: 50_000, BadTimes: 2, Samples: 100}, in: [2]uint64{99, 1}, out: [2]uint64{99, 1}},
		"too many":    {band: &configstorev1.Band{BadPpm: 50_000}, in: [2]uint64{90, 10}, out: [2]uint64{90, 10}, back: "10.000 %, more than 5.000 %"},
		"than others": {band: &configstorev1.Band{BadTimes: 3}, in: [2]uint64{90, 10}, out: [2]uint64{99, 1}, back: "more than 3 times the"},
		"few":         {band: &configstorev1.Band{BadPpm: 1000, Samples: 10_000}, in: [2]uint64{0, 10}, out: [2]uint64{9, 1}, waits: "of 10000"},
		"slower":      {band: &configstorev1.Band{P99Times: 2}, in: [2]uint64{9, 0}, out: [2]uint64{9, 0}, p99: [2]time.Duration{50, 20}, back: "p99 of 50ns, more than 2 times"},
		"restarted":   {band: &configstorev1.Band{BadPpm: 50_000}, in: [2]uint64{90, 10}, back: "more than 5.000 %", restarts: true},
	} {
		t.Run(name, func(t *testing.T) {
			c.band.Health = "rpc"
			w := newWorld(t, &configstorev1.Plan{Bands: []*configstorev1.Band{c.band}})
			w.pass(t.Context(), 1)
			in, out := w.split()
			for n, side := range [][]*configstorev1.Report{in, out} {
				for _, report := range side {
					report.Health[0].P99 = durationpb.New(c.p99[n])
					if c.restarts {
						report.StartedAt, report.Health[0].Good = 2, 0
					}
				}
			}
			count(in, c.in[0], c.in[1])
			count(out, c.out[0], c.out[1])
			w.pass(t.Context(), 1)
			if c.back != "" {
				w.is(t, 0, back, c.back)
				return
			}
			w.is(t, 0, runs, "")
			w.pass(t.Context(), 60)
			if c.waits == "" {
				w.is(t, 1, runs, "")
				return
			}
			w.is(t, 0, runs, "")
			if e := w.pilot.Evidence(t.Context(), "main", w.shelf.c); !strings.Contains(e.GetWaitsFor(), c.waits) {
				t.Errorf("waits for %q", e.GetWaitsFor())
			}
		})
	}
}

func TestCanaryWaitsForTheMissingAndLosesPatience(t *testing.T) {
	w := newWorld(t, &configstorev1.Plan{Patience: durationpb.New(time.Hour)})
	w.pass(t.Context(), 1)
	in, _ := w.split()
	gone := in[0]
	delete(w.instances, gone.GetSubscriber().GetId())
	w.pass(t.Context(), 200)
	w.is(t, 0, runs, "")
	if e := w.pilot.Evidence(t.Context(), "main", w.shelf.c); !strings.Contains(e.GetWaitsFor(), "is not heard of any more") {
		t.Errorf("waits for %q", e.GetWaitsFor())
	}
	w.pass(t.Context(), 110) // it is gone for good
	w.is(t, 1, runs, "")
	w.silent = []string{"configstore-2"}
	w.pass(t.Context(), 3600)
	w.is(t, 1, runs, "")
	for range 60 {
		if w.shelf.c.GetState() == runs {
			w.pass(t.Context(), 1)
		}
	}
	w.is(t, 1, back, "waited for member configstore-2")
}

func TestInstancesAreChosenByLabelsAndShare(t *testing.T) {
	c := &configstorev1.Canary{Id: "c", State: runs, Plan: &configstorev1.Plan{
		Match: map[string]string{"service": "rules", "zone": "eu"},
		Steps: []*configstorev1.Plan_Step{{SharePpm: 50_000}, {SharePpm: whole}},
	}}
	fits := &configstorev1.Subscriber{Id: "a", Services: []string{"mq", "rules"}, Labels: map[string]string{"zone": "eu"}}
	other := &configstorev1.Subscriber{Id: "a", Services: []string{"mq"}, Labels: map[string]string{"zone": "eu"}}
	chosenFirst := 0
	for n := range 10_000 {
		fits.Id = fmt.Sprint("instance-", n)
		if Has(c, fits) {
			chosenFirst++
		}
	}
	if chosenFirst < 400 || chosenFirst > 600 {
		t.Errorf("%d of 10,000 for 5 %%", chosenFirst)
	}
	c.Step = 1
	if !Has(c, fits) || Has(c, other) || Has(c, &configstorev1.Subscriber{Services: []string{"rules"}, Labels: map[string]string{"zone": "eu"}}) {
		t.Error("the whole: all that match and have a name")
	}
}
