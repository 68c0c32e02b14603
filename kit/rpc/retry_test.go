package rpc

import "testing"

func TestRetriesAreAShareOfCalls(t *testing.T) {
	var b retryBudget
	for range retryBurst / partsPerMillion {
		if !b.withdraw() {
			t.Fatal("the burst is smaller than it says")
		}
	}
	if b.withdraw() {
		t.Fatal("the burst is larger than it says")
	}
	retries := 0
	for range 1000 {
		b.deposit(DefaultBudgetPPM)
		if b.withdraw() {
			retries++
		}
	}
	if retries != 200 {
		t.Errorf("%d retries in 1000 calls", retries)
	}
	for range 1000 {
		b.deposit(DefaultBudgetPPM)
	}
	for retries = 0; b.withdraw(); {
		retries++
	}
	if retries != retryBurst/partsPerMillion {
		t.Errorf("%d retries saved up", retries)
	}
}
