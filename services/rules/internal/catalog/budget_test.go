package catalog

import (
	"strings"
	"testing"
	"time"

	rulesv1 "github.com/backlot-video/backlot/proto/gen/backlot/rules/v1"
)

func TestARulesetOverBudgetNeverJudges(t *testing.T) {
	c := New(Config{Dir: t.TempDir(), Clock: time.Now, Budget: 100})
	payment := (*rulesv1.PaymentFact)(nil).ProtoReflect().Descriptor()
	if err := c.AddBuiltin(payment); err != nil {
		t.Fatal(err)
	}
	put := func(version, source string) error {
		return c.Put(Ruleset{Name: "r", FactType: string(payment.FullName()), Version: version, Source: source})
	}
	if err := put("1", `rule a when card == "x" then deny`); err != nil {
		t.Fatal(err)
	}
	err := put("2", `rule a when card matches /a+b/ then deny`)
	if err == nil || !strings.Contains(err.Error(), "the budget is 100") {
		t.Errorf("got %v", err)
	}
	if status := c.Status(); len(status) != 1 || status[0].Version != "1" || status[0].Rejected == "" {
		t.Errorf("got %+v", status)
	}
}
