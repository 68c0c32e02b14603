package catalog

import (
	"errors"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/backlot-video/backlot/services/rules"
	"github.com/backlot-video/backlot/services/rules/internal/facttest"
)

const order = "test.OrderFact"

// open has a clock that stands: however busy the machine is, no version is slow.
func open(t *testing.T, dir string) *Catalog {
	return openAt(t, dir, func() time.Time { return began })
}

func openAt(t *testing.T, dir string, clock func() time.Time) *Catalog {
	c := New(Config{Dir: dir, Clock: clock, Registerer: prometheus.NewRegistry()})
	if err := c.AddBuiltin(facttest.Order()); err != nil {
		t.Fatal(err)
	}
	return c
}

func judge1(t *testing.T, c *Catalog, json string) (rules.Action, string) {
	var d rules.Decision
	if err := c.Evaluate(&Query{FactType: order, JSON: []byte(json)}, &d); err != nil {
		t.Fatal(err)
	}
	return d.Action, d.Version
}

func put(c *Catalog, version, source string) error {
	return c.Put(Ruleset{Name: "r", FactType: order, Version: version, Source: source})
}

func TestABadRulesetNeverReplacesAGoodOne(t *testing.T) {
	dir := t.TempDir()
	c := open(t, dir)
	if err := put(c, "1", "rule a when is_3ds then deny"); err != nil {
		t.Fatal(err)
	}
	for version, source := range map[string]string{
		"does not parse":  "rule a when",
		"does not check":  "rule a when amuont > 5 then deny",
		"fails its tests": "rule a when is_3ds then review\ntest \"t\" given { is_3ds: true } expect deny",
		"needs a list":    "rule a when ip in list @none then deny",
	} {
		if err := put(c, version, source); err == nil {
			t.Errorf("%s: accepted", version)
		}
		if action, in := judge1(t, c, `{"is_3ds": true}`); action != rules.Deny || in != "1" {
			t.Errorf("%s: %s by version %s", version, action, in)
		}
		status := c.Status()
		if len(status) != 1 || status[0].Version != "1" || status[0].Rejected == "" || status[0].Rules != 1 {
			t.Errorf("%s: status %+v", version, status)
		}
	}
	if n := testutil.ToFloat64(c.metrics.rejections); n != 4 {
		t.Errorf("%v rejections counted", n)
	}
	if n := testutil.ToFloat64(c.metrics.rejected.WithLabelValues("r")); n != 1 {
		t.Errorf("rejected is %v", n)
	}

	// After a restart the store has only the bad version; the disk the good one.
	again := open(t, dir)
	if err := put(again, "bad", "rule a when"); err == nil {
		t.Error("accepted after the restart")
	}
	if action, in := judge1(t, again, `{"is_3ds": true}`); action != rules.Deny || in != "1" {
		t.Errorf("after a restart: %s by version %s", action, in)
	}
	if err := put(again, "2", "rule a when is_3ds then review"); err != nil {
		t.Fatal(err)
	}
	if action, in := judge1(t, again, `{"is_3ds": true}`); action != rules.Review || in != "2" {
		t.Errorf("after a repair: %s by version %s", action, in)
	}
	if status := again.Status(); status[0].Rejected != "" {
		t.Errorf("status %+v", status)
	}
}

func TestDeletingTakesARulesetOutOfForce(t *testing.T) {
	dir := t.TempDir()
	c := open(t, dir)
	if err := put(c, "1", "rule a when is_3ds then deny"); err != nil {
		t.Fatal(err)
	}
	c.Delete("r")
	var d rules.Decision
	if err := c.Evaluate(&Query{FactType: order, Wire: []byte{}}, &d); !errors.Is(err, ErrNoRuleset) {
		t.Errorf("got %v", err)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 0 || len(c.Status()) != 0 {
		t.Error("something of it is left")
	}
}

func TestADamagedSnapshotIsNotUsed(t *testing.T) {
	dir := t.TempDir()
	c := open(t, dir)
	if err := os.WriteFile(c.goodPath("r"), []byte(`{"name": "r", "source": `), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := put(c, "1", "rule a when"); err == nil {
		t.Error("accepted")
	}
	var d rules.Decision
	if err := c.Evaluate(&Query{FactType: order, Wire: []byte{}}, &d); !errors.Is(err, ErrNoRuleset) {
		t.Errorf("got %v", err)
	}
}

func TestARulesetWaitsForItsListAndItsFactType(t *testing.T) {
	c := New(Config{Dir: t.TempDir(), Clock: time.Now})
	if err := put(c, "1", "rule a when ip in list @bad then deny"); !errors.Is(err, ErrUnknownFactType) {
		t.Errorf("got %v", err)
	}
	set := &descriptorpb.FileDescriptorSet{}
	file := facttest.Order().ParentFile()
	for i := range file.Imports().Len() {
		set.File = append(set.File, protodesc.ToFileDescriptorProto(file.Imports().Get(i).FileDescriptor))
	}
	set.File = append(set.File, protodesc.ToFileDescriptorProto(file))
	if err := c.PutFactType(order, set, 3); err != nil {
		t.Fatal(err)
	}
	if err := c.PutList("bad", []string{"10.0.0.0/8"}); err != nil {
		t.Fatal(err)
	}
	if action, _ := judge1(t, c, `{"ip": "10.1.1.1"}`); action != rules.Deny {
		t.Errorf("got %s, status %+v", action, c.Status())
	}
	var d rules.Decision
	if err := c.Evaluate(&Query{FactType: order, SchemaRevision: 4, Wire: []byte{}}, &d); !errors.Is(err, ErrNewerSchema) {
		t.Errorf("a newer revision: %v", err)
	}
	if err := c.PutFactType(order, set, 2); !errors.Is(err, ErrBadFactType) {
		t.Errorf("an older revision: %v", err)
	}
	if err := c.PutFactType("test.Nothing", set, 1); !errors.Is(err, ErrBadFactType) {
		t.Errorf("a message that is not there: %v", err)
	}
	if err := c.PutList("bad", []string{""}); err == nil {
		t.Error("a bad list was accepted")
	}
	if action, _ := judge1(t, c, `{"ip": "10.1.1.1"}`); action != rules.Deny {
		t.Error("a bad list replaced a good one")
	}
}

func TestTheFirstNameJudgesAFactType(t *testing.T) {
	c := open(t, t.TempDir())
	for _, name := range []string{"b", "a", "c"} {
		if err := c.Put(Ruleset{Name: name, FactType: order, Version: name, Source: "rule x when is_3ds then deny"}); err != nil {
			t.Fatal(err)
		}
	}
	if _, version := judge1(t, c, `{}`); version != "a" {
		t.Errorf("judged by %s", version)
	}
	status := c.Status()
	if len(status) != 3 || status[0].Rejected != "" || !strings.Contains(status[1].Rejected, "judged by ruleset a") || status[1].Version != "" {
		t.Errorf("status %+v", status)
	}
}

func TestSwappingUnderLoadTearsNothing(t *testing.T) {
	c := open(t, t.TempDir())
	sources := map[string]string{
		"one": "rule a when paid_orders >= 0 then deny score 1\nrule b when paid_orders >= 0 then deny score 1",
		"two": "rule a when paid_orders >= 0 then review score 10\nrule b when paid_orders >= 0 then review score 10",
	}
	if err := put(c, "one", sources["one"]); err != nil {
		t.Fatal(err)
	}
	want := map[string]int64{"one": 2, "two": 20}
	stop := make(chan struct{})
	var group sync.WaitGroup
	for range 2 {
		group.Go(func() {
			var d rules.Decision
			for {
				select {
				case <-stop:
					return
				default:
				}
				if err := c.Evaluate(&Query{FactType: order, Wire: []byte{}}, &d); err != nil || d.Score != want[d.Version] || len(d.Fired) != 2 {
					t.Errorf("version %s: score %d, %d fired, %v", d.Version, d.Score, len(d.Fired), err)
					return
				}
			}
		})
	}
	for i := range 20 {
		version := []string{"two", "one"}[i%2]
		if err := put(c, version, sources[version]); err != nil {
			t.Error(err)
		}
	}
	close(stop)
	group.Wait()
}
