package payout

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/backlot-video/backlot/kit/money"
)

func usd(minor int64) money.Amount { return money.Amount{Minor: minor, Currency: "USD"} }

// TestStepsAreAllowedOnceAndInOrder has every state and step: "-" means that
// nothing changes, "!" that it is refused.
func TestStepsAreAllowedOnceAndInOrder(t *testing.T) {
	for state, want := range map[BatchState]string{
		Draft: "approved ! cancelled", Approved: "- submitted cancelled", BatchSubmitted: "- - !", Ended: "- - !", BatchCancelled: "! ! -",
	} {
		var got []string
		for _, step := range []Step{Approve, Submit, Cancel} {
			next, moved, err := state.Next(step)
			switch {
			case errors.Is(err, ErrState):
				got = append(got, "!")
			case err != nil:
				t.Fatal(err)
			case !moved && next == state:
				got = append(got, "-")
			default:
				got = append(got, next.String())
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%v: %v, want %s", state, got, want)
		}
	}
}

// TestTasksOfEveryState has, by state of the batch, the tasks of payouts that
// are planned, held, submitted, settled, failed and cancelled.
func TestTasksOfEveryState(t *testing.T) {
	for batch, want := range map[BatchState][]Task{
		Draft:          {Nothing, Nothing, Nothing, Nothing, Nothing, Nothing},
		Approved:       {Hold, Nothing, Nothing, Nothing, Nothing, Nothing},
		BatchSubmitted: {Hold, Send, Ask, Nothing, Nothing, Nothing},
		Ended:          {Nothing, Nothing, Nothing, Nothing, Nothing, Nothing},
		BatchCancelled: {Release, Release, Release, Nothing, Nothing, Nothing},
	} {
		var got []Task
		for state := Planned; state <= Cancelled; state++ {
			got = append(got, state.Task(batch))
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%v: %v, want %v", batch, got, want)
		}
	}
}

func TestPlanPaysEarningsLessWhatIsOwed(t *testing.T) {
	due := []Due{
		{"rich", usd(1000), usd(0)},
		{"owes", usd(1000), usd(300)},
		{"owes all", usd(1000), usd(1000)},
		{"just", usd(500), usd(0)},
		{"poor", usd(499), usd(0)},
		{"owes more", usd(10), usd(1000)},
	}
	payouts, err := Plan(usd(500), due)
	var got []string
	for _, p := range payouts {
		got = append(got, fmt.Sprintf("%s %d", p.OwnerID, p.Amount.Minor))
	}
	if err != nil || strings.Join(got, ", ") != "rich 1000, owes 700, just 500" {
		t.Errorf("got %v, %v", got, err)
	}
	if _, err := Plan(usd(0), due); !errors.Is(err, ErrMinimum) {
		t.Errorf("got %v", err)
	}
	if _, err := Plan(money.Amount{Minor: 1, Currency: "EUR"}, due); !errors.Is(err, money.ErrCurrency) {
		t.Errorf("got %v", err)
	}
	many := make([]Due, MaxPayouts+1)
	for i := range many {
		many[i] = Due{fmt.Sprint(i), usd(1), usd(0)}
	}
	if _, err := Plan(usd(1), many); !errors.Is(err, ErrTooMany) {
		t.Errorf("got %v", err)
	}
	if all, err := Plan(usd(1), many[1:]); err != nil || len(all) != MaxPayouts {
		t.Errorf("%d, %v", len(all), err)
	}
}

func TestBatchIsExportedForABank(t *testing.T) {
	var b strings.Builder
	err := WriteCSV(&b, []Payout{
		{ID: "p1", OwnerID: "eve", Amount: usd(1005), State: Held},
		{ID: "p2", OwnerID: "@SUM(A1)", Amount: money.Amount{Minor: 7, Currency: "JPY"}, State: Failed, Problem: "no, account"},
	})
	want := "payout_id,owner_id,amount,currency,state,problem\np1,eve,10.05,USD,held,\np2,'@SUM(A1),7,JPY,failed,\"no, account\"\n"
	if err != nil || b.String() != want {
		t.Errorf("got %s, %v, want %s", b.String(), err, want)
	}
}
