package catalog

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/backlot-video/backlot/services/rules"
	"github.com/backlot-video/backlot/services/rules/internal/facttest"
	"github.com/backlot-video/backlot/services/rules/internal/rollout"
)

const (
	allowing = "rule a when paid_orders >= 0 then allow score 1"
	denying  = "rule a when paid_orders >= 0 then deny score 9"
)

var began = time.UnixMicro(1_700_000_000_000_000).UTC()

// beside1 puts version 1 in force and version 2 beside it.
func beside1(t *testing.T, c *Catalog, live, candidate string, plan rollout.Plan) {
	t.Helper()
	if plan.Began.IsZero() {
		plan.Began = began
	}
	err := c.Put(Ruleset{
		Name: "r", FactType: order, Version: "1", Source: live,
		Beside: &Beside{Version: "2", Source: candidate, Plan: plan},
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestShadowIsComparedAndNeverTheAnswer(t *testing.T) {
	c := open(t, t.TempDir())
	beside1(t, c, allowing, denying, rollout.Plan{Stage: rollout.Shadow})
	for range 50 {
		if action, version := judge1(t, c, `{"card": "x"}`); action != rules.Allow || version != "1" {
			t.Fatalf("%s by %s", action, version)
		}
	}
	r, found := c.Rollout("r")
	if !found || r.Problem != "" || r.Version != "2" {
		t.Fatalf("got %+v", r)
	}
	if n := r.Report.Changes[rules.Allow][rules.Deny]; n != 50 || r.Report.Candidate.Denied != 50 || r.Report.Live.Denied != 0 || r.Report.Live.Answered != 50 {
		t.Errorf("got %+v", r.Report)
	}
	if n := testutil.CollectAndCount(rolloutCollector{c}, "backlot_rules_rollout_changes_total"); n != 1 {
		t.Errorf("%d series of changes", n)
	}
	// A new step of the same version starts to count anew, without compiling.
	before := c.rulesets["r"].beside.program
	beside1(t, c, allowing, denying, rollout.Plan{Stage: rollout.Canary, PPM: 1_000_000, Began: began.Add(time.Second)})
	if r, _ := c.Rollout("r"); r.Report.Candidate.Facts != 0 || c.rulesets["r"].beside.program != before {
		t.Errorf("got %+v", r.Report)
	}
	if _, version := judge1(t, c, `{"card": "x"}`); version != "2" {
		t.Errorf("a whole canary is judged by %s", version)
	}
}

func TestACanaryAnswersItsShareOnly(t *testing.T) {
	c := open(t, t.TempDir())
	share := func(ppm uint32) map[string]bool {
		beside1(t, c, allowing, denying, rollout.Plan{Stage: rollout.Canary, PPM: ppm, By: "billing.country"})
		in := map[string]bool{}
		for i := range 2000 {
			who := fmt.Sprint("viewer-", i)
			if _, version := judge1(t, c, `{"billing": {"country": "`+who+`"}}`); version == "2" {
				in[who] = true
			}
		}
		return in
	}
	five, ten := share(50_000), share(100_000)
	if len(five) < 60 || len(five) > 140 || len(ten) < 150 || len(ten) > 250 {
		t.Errorf("5%% has %d, 10%% has %d of 2,000", len(five), len(ten))
	}
	for who := range five {
		if !ten[who] {
			t.Errorf("%s was in at 5%% and is not at 10%%", who)
		}
	}
	if _, version := judge1(t, c, `{}`); version != "1" {
		t.Errorf("a fact without the field is judged by %s", version)
	}
	var d rules.Decision
	beside1(t, c, allowing, denying, rollout.Plan{Stage: rollout.Canary, Labels: map[string]string{"ring": "early"}})
	for ring, want := range map[string]string{"early": "2", "late": "1"} {
		err := c.Evaluate(&Query{FactType: order, Wire: []byte{}, Labels: map[string]string{"ring": ring}}, &d)
		if err != nil || d.Version != want {
			t.Errorf("ring %s: judged by %s, %v", ring, d.Version, err)
		}
	}
}

func TestAVersionThatTakesLongIsSparedFacts(t *testing.T) {
	now := began
	c := openAt(t, t.TempDir(), func() time.Time { return now })
	beside1(t, c, allowing, denying, rollout.Plan{Stage: rollout.Canary, PPM: 1_000_000})
	// A fact of which each look at the clock takes so long.
	judge := func(look time.Duration) string {
		c.rulesets["r"].beside.clock = func() time.Time { now = now.Add(look); return now }
		_, version := judge1(t, c, `{}`)
		return version
	}
	for i, fact := range []struct {
		look time.Duration
		want string
	}{{time.Millisecond, "2"}, {19 * time.Millisecond, "2"}, {20 * time.Millisecond, "2"}, {time.Millisecond, "1"}, {time.Second, "2"}} {
		if version := judge(fact.look); version != fact.want {
			t.Errorf("fact %d is judged by %s", i+1, version)
		}
	}
	if r, _ := c.Rollout("r"); r.Report.Skipped != 1 || r.Report.Candidate.Facts != 4 {
		t.Errorf("got %+v", r.Report)
	}
}

func TestAFactIsCountedOnceForBothVersions(t *testing.T) {
	c := open(t, t.TempDir())
	live := "rule a when count(order by card over 1h) >= 3 then deny"
	// The new version has a counter of its own beside the shared one.
	candidate := live + "\nrule b when count(order by ip over 1h) >= 3 then review score 7"
	for _, plan := range []rollout.Plan{
		{Stage: rollout.Shadow}, {Stage: rollout.Canary, PPM: 500_000, By: "email"},
	} {
		beside1(t, c, live, candidate, plan)
		who := fmt.Sprint("c-", plan.Stage)
		for i := range 6 {
			var d rules.Decision
			json := fmt.Sprintf(`{"card": %q, "ip": %q, "email": "e%d"}`, who, who, i)
			if err := c.Evaluate(&Query{FactType: order, JSON: []byte(json)}, &d); err != nil {
				t.Fatal(err)
			}
			if denied := d.Action == rules.Deny; denied != (i >= 2) {
				t.Errorf("%s, fact %d by version %s: %s", plan.Stage, i+1, d.Version, d.Action)
			}
			if d.Version == "2" && (d.Score == 7) != (i >= 2) {
				t.Errorf("%s, fact %d: score %d", plan.Stage, i+1, d.Score)
			}
		}
	}
}

func TestABandThatIsLeftEndsTheCanaryHereAtOnce(t *testing.T) {
	for stage, want := range map[rollout.Stage][2]string{rollout.Canary: {"2", "1"}, rollout.Full: {"1", "2"}} {
		c := open(t, t.TempDir())
		// In full, version 1 is the new one and compared with the former 2.
		live, beside := allowing, denying
		if stage == rollout.Full {
			live, beside = denying, allowing
		}
		beside1(t, c, live, beside, rollout.Plan{Stage: stage, PPM: 1_000_000})
		for range 100 {
			if _, version := judge1(t, c, `{}`); version != want[0] {
				t.Fatalf("%s: judged by %s", stage, version)
			}
		}
		c.Tick()
		if r, _ := c.Rollout("r"); !strings.Contains(r.Left, "deny rate 100.00%, live 0.00%") {
			t.Errorf("%s: left %q", stage, r.Left)
		}
		if action, version := judge1(t, c, `{}`); version != want[1] || action != rules.Allow {
			t.Errorf("%s: judged by %s after the band was left", stage, version)
		}
	}
}

func TestAFactThatOnlyTheCandidateCannotJudgeIsNotDropped(t *testing.T) {
	c := open(t, t.TempDir())
	// Only the candidate reads the list, which has more elements than it may.
	beside1(t, c, allowing, "rule a when any code in codes (code == 5) then deny", rollout.Plan{Stage: rollout.Canary, PPM: 1_000_000})
	codes := "[" + strings.Repeat("1,", 20_000) + "1]"
	var d rules.Decision
	if err := c.Evaluate(&Query{FactType: order, JSON: []byte(`{"codes": ` + codes + `}`)}, &d); err != nil || d.Version != "1" || len(d.Fired) != 1 {
		t.Errorf("judged by %s, %d fired, %v", d.Version, len(d.Fired), err)
	}
	if r, _ := c.Rollout("r"); r.Report.Candidate.Errors != 1 || r.Report.Live.Errors != 0 || r.Report.Candidate.Answered != 0 {
		t.Errorf("got %+v", r.Report)
	}
}

func TestABadCandidateLeavesTheLiveVersionAlone(t *testing.T) {
	var alarms []Refusal
	c := New(Config{Dir: t.TempDir(), Clock: time.Now, Registerer: prometheus.NewRegistry(), Refused: func(r Refusal) { alarms = append(alarms, r) }})
	c.types = open(t, t.TempDir()).types
	err := c.Put(Ruleset{
		Name: "r", FactType: order, Version: "1", Source: allowing,
		Beside: &Beside{Version: "2", Source: "rule a when ip in list @late then deny", Plan: rollout.Plan{Stage: rollout.Shadow, Began: began}},
	})
	if err == nil || len(alarms) != 1 || alarms[0].Version != "2" || alarms[0].InForce != "1" {
		t.Fatalf("%v, alarms %+v", err, alarms)
	}
	if r, found := c.Rollout("r"); !found || !strings.Contains(r.Problem, "late") {
		t.Errorf("got %+v", r)
	}
	if _, version := judge1(t, c, `{}`); version != "1" {
		t.Errorf("judged by %s", version)
	}
	if err := c.PutList("late", []string{"a"}); err != nil {
		t.Fatal(err)
	}
	if r, _ := c.Rollout("r"); r.Problem != "" || c.Status()[0].Rejected != "" {
		t.Errorf("after the list came: %+v", r)
	}
}

func TestARolloutOutlastsARestartWithoutItsVersions(t *testing.T) {
	dir := t.TempDir()
	plan := rollout.Plan{Stage: rollout.Canary, PPM: 1_000_000, Began: began}
	beside1(t, open(t, dir), allowing, denying, plan)
	lost := errors.New("torn")
	wanted := Ruleset{
		Name: "r", FactType: order, Version: "1", Fault: lost, Beside: &Beside{Version: "2", Fault: lost, Plan: plan},
	}
	again := open(t, dir)
	if err := again.Put(wanted); err != nil {
		t.Errorf("the disk has both: %v", err)
	}
	if action, version := judge1(t, again, `{}`); action != rules.Deny || version != "2" {
		t.Errorf("%s by %s", action, version)
	}
	// Another version that cannot be loaded falls back to the one on disk, and
	// a rollout that has ended does not come back.
	fallen := open(t, dir)
	if err := fallen.Put(Ruleset{Name: "r", FactType: order, Version: "3", Fault: lost}); !errors.Is(err, lost) {
		t.Errorf("got %v", err)
	}
	if action, version := judge1(t, fallen, `{}`); action != rules.Allow || version != "1" {
		t.Errorf("fell back to %s by %s", action, version)
	}
}

func TestDamageOnDiskIsSeen(t *testing.T) {
	dir := t.TempDir()
	c := open(t, dir)
	if err := put(c, "1", allowing); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(c.goodPath("r"))
	if err != nil {
		t.Fatal(err)
	}
	legacy := `{"name":"r","fact_type":"` + order + `","version":"0","source":"rule a when is_3ds then deny"}`
	for name, test := range map[string]struct {
		content string
		judged  string // empty: nothing can judge
	}{
		"whole":   {string(whole), "1"},
		"torn":    {string(whole[:len(whole)/2]), ""},
		"changed": {strings.Replace(string(whole), "score 1", "score 2", 1), ""},
		"empty":   {"", ""},
		"of an earlier release, without checksum": {legacy, "0"},
	} {
		if err := os.WriteFile(c.goodPath("r"), []byte(test.content), 0o600); err != nil {
			t.Fatal(err)
		}
		again := open(t, dir)
		if err := put(again, "bad", "rule a when"); err == nil {
			t.Errorf("%s: a bad version was accepted", name)
		}
		var d rules.Decision
		if err := again.Evaluate(&Query{FactType: order, Wire: []byte{}}, &d); (err == nil) != (test.judged != "") || d.Version != test.judged {
			t.Errorf("%s: judged by %q, %v", name, d.Version, err)
		}
	}
}

// TestRolloutsUnderLoadTearNothing swaps versions, stages and shares while
// facts are judged: every rule of a version has its score.
func TestRolloutsUnderLoadTearNothing(t *testing.T) {
	c := open(t, t.TempDir())
	source := func(version int) string {
		var b strings.Builder
		for i := range 20 {
			fmt.Fprintf(&b, "rule r%d when paid_orders >= 0 then allow score %d\n", i, version)
		}
		return b.String()
	}
	const versions = 3
	sources := [versions]string{source(1), source(2), source(3)}
	names := [versions]string{"1", "2", "3"}
	if err := put(c, "1", sources[0]); err != nil {
		t.Fatal(err)
	}
	want := map[string]int64{"1": 20, "2": 40, "3": 60}
	stop := make(chan struct{})
	var group sync.WaitGroup
	var judged [2]int
	for worker := range judged {
		group.Go(func() {
			var d rules.Decision
			for {
				select {
				case <-stop:
					return
				default:
				}
				err := c.Evaluate(&Query{FactType: order, JSON: []byte(`{"card": "x", "billing": {"country": "y"}}`)}, &d)
				if err != nil || d.Score != want[d.Version] || len(d.Fired) != 20 {
					t.Errorf("version %s: score %d, %d fired, %v", d.Version, d.Score, len(d.Fired), err)
					return
				}
				judged[worker]++
			}
		})
	}
	stages := []rollout.Plan{{Stage: rollout.Shadow}, {Stage: rollout.Canary, PPM: 500_000, By: "card"}, {Stage: rollout.Full}}
	for i := range 60 {
		r := Ruleset{Name: "r", FactType: order, Version: names[i%versions], Source: sources[i%versions]}
		if i%4 > 0 {
			plan := stages[i%3]
			plan.Began = began.Add(time.Duration(i))
			r.Beside = &Beside{Version: names[(i+1)%versions], Source: sources[(i+1)%versions], Plan: plan}
		}
		if err := c.Put(r); err != nil {
			t.Error(err)
		}
		c.Tick()
		if i%10 == 0 {
			c.Resample(0)
		}
	}
	close(stop)
	group.Wait()
	t.Logf("%d facts judged", judged[0]+judged[1])
}

func TestResamplingKeepsVersionAndVerdict(t *testing.T) {
	c := open(t, t.TempDir())
	if err := put(c, "1", "rule a when is_3ds and card == \"x\" then deny"); err != nil {
		t.Fatal(err)
	}
	for range 1000 {
		judge1(t, c, `{"card": "x"}`)
	}
	before := c.rulesets["r"].program
	c.Resample(5000)
	if c.rulesets["r"].program != before {
		t.Error("compiled again after too few facts")
	}
	c.Resample(500)
	if c.rulesets["r"].program == before {
		t.Error("not compiled again")
	}
	sample, schema := c.types[order].sample, c.types[order].schema
	if kept := len(sample.facts); kept != sampleFacts {
		t.Errorf("%d facts kept", kept)
	}
	learned := sample.learned(schema)
	if sample.learned(schema) != learned {
		t.Error("learned again of the same facts")
	}
	for range sampleEvery {
		judge1(t, c, `{"card": "y"}`)
	}
	if sample.learned(schema) == learned {
		t.Error("newer facts are not learned")
	}
	if action, version := judge1(t, c, `{"card": "x", "is_3ds": true}`); action != rules.Deny || version != "1" {
		t.Errorf("%s by %s", action, version)
	}
}

// BenchmarkEdit is a release of 10,000 rules in which one differs.
func BenchmarkEdit(b *testing.B) {
	c := New(Config{Dir: b.TempDir(), Clock: time.Now})
	if err := c.AddBuiltin(facttest.Order()); err != nil {
		b.Fatal(err)
	}
	var text strings.Builder
	for i := range 10_000 {
		fmt.Fprintf(&text, "rule r%d when paid_orders > %d and card == \"c%d\" then deny score %d\n", i, i, i, i%100)
	}
	sources := [2]string{text.String(), strings.Replace(text.String(), "paid_orders > 5000 ", "paid_orders > 5001 ", 1)}
	version := func(i int) Ruleset {
		return Ruleset{Name: "r", FactType: order, Version: fmt.Sprint(i), Source: sources[i%2]}
	}
	if err := c.Put(version(0)); err != nil {
		b.Fatal(err)
	}
	entry, i := c.rulesets["r"], 0
	for b.Loop() { // what Put does until the swap
		i++
		entry.wanted = version(i)
		c.load(entry, false)
		c.inForce.Store(&map[string]judge{order: entry.judge})
		if entry.rejected != nil {
			b.Fatal(entry.rejected)
		}
	}
	b.ReportMetric(float64(len(sources[0])), "source-bytes")
}

func BenchmarkEvaluate(b *testing.B) {
	for name, stage := range map[string]rollout.Stage{"live": rollout.None, "shadow": rollout.Shadow} {
		b.Run(name, func(b *testing.B) {
			c := New(Config{Dir: b.TempDir(), Clock: time.Now})
			r := Ruleset{Name: "r", FactType: order, Version: "1", Source: allowing}
			if stage != rollout.None {
				r.Beside = &Beside{Version: "2", Source: denying, Plan: rollout.Plan{Stage: stage, Began: began}}
			}
			if err := c.AddBuiltin(facttest.Order()); err != nil {
				b.Fatal(err)
			}
			if err := c.Put(r); err != nil {
				b.Fatal(err)
			}
			var d rules.Decision
			q := &Query{FactType: order, Wire: []byte{}}
			b.ReportAllocs()
			for b.Loop() {
				if err := c.Evaluate(q, &d); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
