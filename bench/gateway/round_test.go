//go:build linux

package gateway

import "testing"

func TestFiguresAreMedians(t *testing.T) {
	rounds := []figures{
		{P50: 1, P99: 90, cost: 15, perSecond: 100}, {P50: 9, P99: 10, cost: 50, perSecond: 900}, {P50: 2, P99: 20, cost: 16, perSecond: 300},
	}
	if got, want := middle(rounds), (figures{P50: 2, P99: 20, cost: 16, perSecond: 300}); got != want {
		t.Errorf("of three rounds: %+v, want %+v", got, want)
	}
	if got := middle(rounds[1:]).cost; got != 33 {
		t.Errorf("of two rounds: %v, want the mean", got)
	}
}
