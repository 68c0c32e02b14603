package tool

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/backlot-video/backlot/services/rules/internal/backtest"
)

// progressLine is one state of a run: with a bar, how much of the input was
// read, how fast, and how long it will take where that can be told.
func progressLine(meter *backtest.Meter, took time.Duration, bar bool) string {
	events, read, total := meter.Events.Load(), meter.Read.Load(), meter.Total.Load()
	line := fmt.Sprintf("%s events, %s/s", grouped(events), grouped(int64(float64(events)/max(took.Seconds(), 0.001))))
	if total == 0 || read == 0 {
		return line
	}
	part := min(1, float64(read)/float64(total))
	left := time.Duration(float64(took) * (1 - part) / part).Round(time.Second)
	line = fmt.Sprintf("%3.0f%% %s, %s left", part*100, line, left)
	if bar {
		const width = 30
		full := int(part * width)
		line = "[" + strings.Repeat("=", full) + strings.Repeat(" ", width-full) + "] " + line
	}
	return line
}

// grouped writes a number with commas.
func grouped(n int64) string {
	digits := fmt.Sprint(max(n, -n))
	for at := len(digits) - 3; at > 0; at -= 3 {
		digits = digits[:at] + "," + digits[at:]
	}
	if n < 0 {
		return "-" + digits
	}
	return digits
}

func percent(rate float64) string { return fmt.Sprintf("%.2f%%", rate*100) }

// signed writes a difference with its sign.
func signed(n int64) string {
	if n > 0 {
		return "+" + grouped(n)
	}
	return grouped(n)
}

// rulesShown is how many rules and differences the text tells; JSON has all.
const rulesShown = 20

// compared tells a result as text.
func (std *Stdio) compared(r *backtest.Result) string {
	var b strings.Builder
	if r.Partial {
		b.WriteString(std.paint(yellow, "PARTIAL: ended before all events were read") + "\n")
	}
	fmt.Fprintf(&b, "%s events in %.2f s, %s/s\n", grouped(r.Events), r.Seconds, grouped(int64(float64(r.Events)/max(r.Seconds, 1e-6))))
	if r.Bad > 0 {
		fmt.Fprintf(&b, "%s could not be read:\n", plural(int(r.Bad), "event"))
		for i := range r.BadFirst {
			fmt.Fprintf(&b, "  %s\n", r.BadFirst[i].Error())
		}
	}
	std.writeVerdicts(&b, r)
	std.writeRules(&b, r)
	std.writeExamples(&b, r)
	writeCost(&b, r)
	return b.String()
}

func (std *Stdio) writeVerdicts(b *strings.Builder, r *backtest.Result) {
	live := "live"
	if r.Recorded {
		live = "recorded"
	}
	fmt.Fprintf(b, "\n%s\n  %-10s %14s %9s %14s %9s %14s\n", std.paint(bold, "Verdicts"), "", live, "", "draft", "", "change")
	for _, v := range r.Verdicts {
		fmt.Fprintf(b, "  %-10s %14s %9s %14s %9s %14s\n", v.Verdict, grouped(v.Live.Events), percent(v.Live.Rate),
			grouped(v.Draft.Events), percent(v.Draft.Rate), signed(v.Draft.Events-v.Live.Events))
	}
	fmt.Fprintf(b, "\n%s %s of verdicts (%s)\n", std.paint(bold, "Changed:"), percent(r.Changed.Rate), grouped(r.Changed.Events))
	cells := map[[2]string]int64{}
	for _, m := range r.Matrix {
		cells[[2]string{m.Live, m.Draft}] = m.Events
	}
	corner := live + " \\ draft"
	fmt.Fprintf(b, "  %-18s", corner)
	for _, v := range r.Verdicts {
		fmt.Fprintf(b, " %14s", v.Verdict)
	}
	b.WriteByte('\n')
	for _, from := range r.Verdicts {
		fmt.Fprintf(b, "  %-18s", from.Verdict)
		for _, to := range r.Verdicts {
			text := fmt.Sprintf("%14s", grouped(cells[[2]string{from.Verdict, to.Verdict}]))
			if from.Verdict != to.Verdict && cells[[2]string{from.Verdict, to.Verdict}] > 0 {
				text = std.paint(yellow, text)
			}
			b.WriteString(" " + text)
		}
		b.WriteByte('\n')
	}
	if !r.Recorded {
		fmt.Fprintf(b, "  scores: mean %.3f -> %.3f, changed for %s (%s), by %d to %d; other rules with the same verdict and score: %s\n",
			r.Score.MeanLive, r.Score.MeanDraft, grouped(r.Score.Changed.Events), percent(r.Score.Changed.Rate), r.Score.Lowest, r.Score.Highest,
			grouped(r.Rerouted.Events))
	}
}

func (std *Stdio) writeRules(b *strings.Builder, r *backtest.Result) {
	fmt.Fprintf(b, "\n%s\n  %-30s %-8s %14s %14s %14s\n", std.paint(bold, "Rules fired (in shadow)"), "", "", "live", "draft", "change")
	for i, rule := range r.Rules {
		if i == rulesShown {
			fmt.Fprintf(b, "  and %d more\n", len(r.Rules)-i)
			break
		}
		state := rule.State
		if state == "same" {
			state = ""
		}
		var change int64
		if rule.Draft != nil {
			change = rule.Draft.Fired + rule.Draft.Shadow
		}
		if rule.Live != nil {
			change -= rule.Live.Fired + rule.Live.Shadow
		}
		fmt.Fprintf(b, "  %-30s %-8s %14s %14s %14s\n", rule.Rule, state, counted(rule.Live), counted(rule.Draft), signed(change))
	}
}

func counted(c *backtest.RuleCounts) string {
	switch {
	case c == nil:
		return "-"
	case c.Shadow > 0:
		return fmt.Sprintf("%s (%s)", grouped(c.Fired), grouped(c.Shadow))
	}
	return grouped(c.Fired)
}

func (std *Stdio) writeExamples(b *strings.Builder, r *backtest.Result) {
	if len(r.Examples) == 0 {
		return
	}
	fmt.Fprintf(b, "\n%s\n", std.paint(bold, "Examples"))
	for _, kind := range r.Examples {
		title := kind.Live + " -> " + kind.Draft
		switch kind.Change {
		case "score":
			title = kind.Live + ", other score"
		case "rules":
			title = kind.Live + ", other rules"
		}
		fmt.Fprintf(b, "  %s\n", std.paint(yellow, title))
		for _, e := range kind.Examples {
			fmt.Fprintf(b, "    %s:%d  score %d -> %d%s\n      %s\n", e.File, e.Number, e.Live.Score, e.Draft.Score, firedChange(&e), e.Event)
		}
	}
}

// firedChange tells which rules fired: + for the draft only, - for live only.
func firedChange(e *backtest.Example) string {
	var b strings.Builder
	for _, name := range e.Draft.Fired {
		sign := "+"
		if slices.Contains(e.Live.Fired, name) {
			sign = ""
		}
		b.WriteString("  " + sign + name)
	}
	for _, name := range e.Live.Fired {
		if !slices.Contains(e.Draft.Fired, name) {
			b.WriteString("  -" + name)
		}
	}
	return b.String()
}

func writeCost(b *strings.Builder, r *backtest.Result) {
	c := &r.Cost
	fmt.Fprintf(b, "\nCost, ns of a worker for an event: reading %.0f, velocity %.0f, judging %.1f (rules of live %.1f, of draft %.1f)\n", c.Decode, c.Count, c.Compare, c.Live, c.Draft)
	fmt.Fprintf(b, "  bound of one event alone in the service: draft %s ns", grouped(c.Bounds[1]))
	if !r.Recorded {
		fmt.Fprintf(b, ", live %s ns", grouped(c.Bounds[0]))
	}
	b.WriteString("\n")
	for _, rule := range c.Dearest {
		fmt.Fprintf(b, "  %-30s %8.2f ns %6.1f%%\n", rule.Rule, rule.Nanos, rule.Share*100)
	}
}
