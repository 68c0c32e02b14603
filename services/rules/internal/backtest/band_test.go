package backtest

import "testing"

func TestBands(t *testing.T) {
	r := &Result{Events: 200, Verdicts: noVerdicts(), Changed: Share{10, 0.05}, Rules: []RuleChange{{Rule: "a", Draft: &RuleCounts{Fired: 20}}, {Rule: "gone"}}}
	r.Verdicts[3].Draft.Rate, r.Verdicts[3].Live.Rate = 0.03, 0.02
	for text, broken := range map[string]bool{
		"deny-rate>2%": true, "deny-rate > 3%": false, "deny-rate>=3%": true, "deny-change>0.5%": true, "change-rate<0.05": false,
		"rule:a>9%": true, "events<200": false, "allow-rate<=0": true, "cost>1.5": false, "bad-events>0": false, "score-change<-1": false,
	} {
		band, err := ParseBand(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		got, err := band.Broken(r)
		if (got != "") != broken || err != nil {
			t.Errorf("%s: %q %v", text, got, err)
		}
	}
	for _, text := range []string{"", "deny-rate", ">2", "deny-rate=2", "deny-rate>x", "dney-rate>2%", "deny-rte>2%"} {
		if _, err := ParseBand(text); err == nil {
			t.Errorf("%q was taken", text)
		}
	}
	for _, text := range []string{"rule:b>1%", "rule:gone>1%"} {
		band, _ := ParseBand(text)
		if _, err := band.Broken(r); err == nil {
			t.Errorf("%q: no such rule", text)
		}
	}
}
