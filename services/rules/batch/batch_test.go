package batch_test

import (
	"errors"
	"fmt"
	"testing"

	rulesv1 "github.com/backlot-video/backlot/proto/gen/backlot/rules/v1"
	"github.com/backlot-video/backlot/services/rules"
	"github.com/backlot-video/backlot/services/rules/batch"
	"github.com/backlot-video/backlot/services/rules/fact"
)

func schema() *fact.Schema {
	s, err := fact.New((*rulesv1.PaymentFact)(nil).ProtoReflect().Descriptor(), fact.Config{})
	if err != nil {
		panic(err)
	}
	return s
}

func Example() {
	judge, err := batch.Compile("risk.rules", `
rule large when amount > 500.00 CNY and account_age < 7d then review score 40
rule foreign when country != "CN" then challenge score 5
`, schema(), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	worker := judge.NewWorker()
	for _, payment := range []string{
		`{"amount": {"minor": 60000, "currency": "CNY"}, "country": "US"}`,
		`{"amount": {"minor": 100, "currency": "CNY"}, "country": "US"}`,
		`{}`,
	} {
		if err := worker.AppendJSON([]byte(payment)); err != nil {
			fmt.Println(err)
		}
	}
	verdicts := worker.Judge()
	for i, action := range verdicts.Actions {
		fmt.Println(action, verdicts.Scores[i], verdicts.Fires(1, i))
	}
	// Output:
	// review 45 true
	// challenge 5 true
	// allow 0 false
}

func TestCompileRefuses(t *testing.T) {
	if _, err := batch.Compile("r", "rule r when count(payment by card over 1h) > 5 then deny", schema(), nil); !errors.Is(err, batch.ErrVelocity) {
		t.Errorf("velocity: %v", err)
	}
	var faults rules.Errors
	if _, err := batch.Compile("r", "rule r when amuont > 5 then deny", schema(), nil); !errors.As(err, &faults) {
		t.Errorf("a fault: %v", err)
	}
}

func TestBatchIsBounded(t *testing.T) {
	judge, err := batch.Compile("r", "rule r when card is missing then deny", schema(), nil)
	if err != nil {
		t.Fatal(err)
	}
	worker := judge.NewWorker()
	for range batch.Rows {
		if err := worker.Append(nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := worker.Append(nil); !errors.Is(err, batch.ErrFull) {
		t.Errorf("got %v", err)
	}
	if denied := worker.Judge().Fired[0].Count(); denied != batch.Rows {
		t.Errorf("%d denied", denied)
	}
	worker.Reset()
	if err := worker.Append([]byte{0xff}); !errors.Is(err, fact.ErrMalformed) {
		t.Errorf("got %v", err)
	}
	if n := len(worker.Judge().Actions); n != 0 {
		t.Errorf("%d facts", n)
	}
}
