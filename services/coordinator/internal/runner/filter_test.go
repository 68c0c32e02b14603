package runner_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backlot-video/backlot/services/coordinator/internal/runner"
	"github.com/backlot-video/backlot/services/coordinator/internal/tcc"
)

func TestListFilters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		p := newParticipants(m)
		p.answer = func(key runner.Key, _ tcc.Branch, phase tcc.Phase) (tcc.Outcome, time.Duration) {
			if phase == tcc.Try && strings.HasPrefix(key.XID, "poor") {
				return tcc.Refused, time.Millisecond
			}
			return tcc.Succeeded, time.Millisecond
		}
		c := start(t, m, p, nil, runner.Config{})
		for _, xid := range []string{"order-1", "order-10", "order-100", "order%", "poor-1"} {
			s := submission(xid, runner.WaitConfirmed)
			if xid == "order-100" {
				s.Spec.Branches[0].Service, s.Spec.Branches[0].Action = "", ""
				call := &tcc.HTTPCall{URL: "https://shop.example/tcc/hold"}
				s.Spec.Branches[0].HTTP = &tcc.HTTP{Try: call, Confirm: call, Cancel: call}
			}
			if _, err := c.Submit(t.Context(), s); err != nil {
				t.Fatal(err)
			}
			pass(time.Minute)
		}
		for _, want := range []struct {
			filter runner.Filter
			xids   string
		}{
			{runner.Filter{}, "poor-1 order% order-100 order-10 order-1"},
			{runner.Filter{XIDPrefix: "order-10"}, "order-100 order-10"},
			{runner.Filter{XIDPrefix: "order%"}, "order%"},
			{runner.Filter{XIDPrefix: "order_"}, ""},
			{runner.Filter{States: []tcc.State{tcc.Cancelled}}, "poor-1"},
			{runner.Filter{Problem: ": NO"}, "poor-1"},
			{runner.Filter{Problem: "%"}, ""},
			{runner.Filter{Service: "settlement", XIDPrefix: "order-1"}, "order-100 order-10 order-1"},
			{runner.Filter{Service: "https://shop.example/"}, "order-100"},
			{runner.Filter{Service: "settle"}, ""},
			{runner.Filter{OlderThan: 210 * time.Second}, "order-10 order-1"},
			{runner.Filter{YoungerThan: 150 * time.Second}, "poor-1 order%"},
			{runner.Filter{OlderThan: 90 * time.Second, YoungerThan: 210 * time.Second}, "order% order-100"},
		} {
			for _, limit := range []int{1, 2, 100} {
				var got []string
				before, pages := runner.Cursor{}, 0
				for ; pages < 10; pages++ {
					page, next, err := c.List(t.Context(), "main", want.filter, before, limit)
					if err != nil || len(page) > limit {
						t.Fatalf("%d found, %v", len(page), err)
					}
					for _, status := range page {
						got = append(got, status.XID)
					}
					if before = next; next == (runner.Cursor{}) {
						break
					}
				}
				if fmt.Sprint(got) != fmt.Sprint(strings.Fields(want.xids)) || pages == 10 {
					t.Errorf("%+v by %d: %v in %d pages, want %s", want.filter, limit, got, pages, want.xids)
				}
			}
		}
	})
}
