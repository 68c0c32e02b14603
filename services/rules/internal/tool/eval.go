package tool

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/backlot-video/backlot/kit/config"
	"github.com/backlot-video/backlot/services/rules"
)

var evalVerb = Verb{
	Name: "eval", Args: "FILE --fact-json FACTS", About: "judges facts by a ruleset and explains the decision",
	Examples: []string{
		"eval risk.rules --fact-json order.json --trace",
		"eval --json risk.rules --fact-json - < orders.jsonl",
		"eval risk.rules --fact-proto order.bin",
	},
	Run: runEval,
}

type evalFlags struct {
	facts
	factJSON, factProto string
	trace, json         bool
}

var errFact = errors.New("give the facts by --fact-json or --fact-proto")

func runEval(ctx context.Context, verb *Verb, args []string, std *Stdio) int {
	set := config.New(verb.Name)
	var c evalFlags
	c.register(set)
	set.String(&c.factJSON, "fact-json", "", "`file` of facts in protobuf's JSON form, one after another; - is the standard input; velocity counts from fact to fact")
	set.String(&c.factProto, "fact-proto", "", "`file` of one fact in protobuf's wire form")
	set.Bool(&c.trace, "trace", false, "show the value of each sub-expression")
	set.Bool(&c.json, "json", false, "print a line of JSON for each decision")
	rest, code, done := verb.parse(set, args, std)
	if done {
		return code
	}
	switch {
	case len(rest) != 1:
		return std.fail(verb, fmt.Errorf("want one FILE, found %d", len(rest)))
	case (c.factJSON == "") == (c.factProto == ""):
		return std.fail(verb, errFact)
	case rest[0] == "-" && c.factJSON == "-":
		return std.fail(verb, errors.New("the standard input cannot be both the source and the facts"))
	}
	sources, err := readSources(rest, std.In)
	if err == nil {
		err = c.load()
	}
	if err == nil && len(sources) > 1 {
		err = fmt.Errorf("want one ruleset, %s has %d", rest[0], len(sources))
	}
	if err != nil {
		return std.fail(verb, err)
	}
	program, _, err := compile(&sources[0], &c.facts)
	if err != nil {
		return std.fail(verb, err)
	}
	if program.faults != nil {
		for _, d := range compileFaults(program.faults) {
			std.print(std.Err, d)
		}
		return exitFaults
	}
	if err := c.judge(ctx, program.Program, std); err != nil {
		return std.fail(verb, err)
	}
	return exitOK
}

// judge evaluates the facts one after another.
func (c *evalFlags) judge(ctx context.Context, program *rules.Program, std *Stdio) error {
	var d rules.Decision
	request := &rules.Request{Trace: c.trace}
	if c.factProto != "" {
		wire, err := readAll(c.factProto, std.In)
		if err != nil {
			return err
		}
		if err := program.Evaluate(wire, &d, request); err != nil {
			return fmt.Errorf("%s: %w", c.factProto, err)
		}
		return c.show(&d, std)
	}
	raw, err := readAll(c.factJSON, std.In)
	if err != nil {
		return err
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	for n := 1; ctx.Err() == nil; n++ {
		var text json.RawMessage
		if err := decoder.Decode(&text); errors.Is(err, io.EOF) && n > 1 {
			return nil
		} else if err != nil {
			return fmt.Errorf("%s: fact %d: %w", c.factJSON, n, err)
		}
		if err := program.EvaluateJSON(text, &d, request); err != nil {
			return fmt.Errorf("%s: fact %d: %w", c.factJSON, n, err)
		}
		if err := c.show(&d, std); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// decisionJSON is a decision as eval --json prints it.
type decisionJSON struct {
	Verdict string      `json:"verdict"`
	Score   int64       `json:"score"`
	Fired   []firedJSON `json:"fired"`
	Shadow  []firedJSON `json:"shadow"`
	Unknown int         `json:"unknown_values,omitempty"`
	Trace   []stepJSON  `json:"trace,omitempty"`
}

type firedJSON struct {
	Rule   string `json:"rule"`
	Action string `json:"action"`
	Score  int64  `json:"score"`
	Reason string `json:"reason,omitempty"`
}

type stepJSON struct {
	Rule       string `json:"rule"`
	Expression string `json:"expression"`
	Value      string `json:"value"`
}

func (c *evalFlags) show(d *rules.Decision, std *Stdio) error {
	if !c.json {
		_, err := io.WriteString(std.Out, std.explain(d))
		return err
	}
	out := decisionJSON{
		Verdict: d.Action.String(), Score: d.Score, Fired: firedToJSON(d.Fired), Shadow: firedToJSON(d.Shadow),
		Unknown: d.Unknown.Overflow + d.Unknown.Currency,
	}
	for _, step := range d.Trace {
		out.Trace = append(out.Trace, stepJSON{step.Rule, step.Expression, step.Value})
	}
	encoder := json.NewEncoder(std.Out)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(&out)
}

func firedToJSON(fired []*rules.Rule) []firedJSON {
	out := make([]firedJSON, len(fired))
	for i, rule := range fired {
		out[i] = firedJSON{rule.Name, rule.Action.String(), rule.Score, rule.Reason}
	}
	return out
}

// explain tells a decision in words: the verdict, what fired and why.
func (std *Stdio) explain(d *rules.Decision) string {
	var b strings.Builder
	colour := map[rules.Action]string{rules.Allow: green, rules.Challenge: yellow, rules.Review: yellow, rules.Deny: red}[d.Action]
	fmt.Fprintf(&b, "%s, score %d\n", std.paint(colour, d.Action.String()), d.Score)
	if len(d.Fired)+len(d.Shadow) == 0 {
		b.WriteString("  no rule fired\n")
	}
	for _, rule := range d.Fired {
		b.WriteString("  " + describeRule(rule) + "\n")
	}
	for _, rule := range d.Shadow {
		b.WriteString("  " + describeRule(rule) + " (in shadow)\n")
	}
	if n := d.Unknown.Overflow; n > 0 {
		fmt.Fprintf(&b, "  unknown: %s out of range\n", plural(n, "result"))
	}
	if n := d.Unknown.Currency; n > 0 {
		fmt.Fprintf(&b, "  unknown: %s of amounts in different currencies\n", plural(n, "comparison"))
	}
	last := ""
	for _, step := range d.Trace {
		if step.Rule != last {
			last = step.Rule
			b.WriteString("  " + std.paint(bold, last) + "\n")
		}
		fmt.Fprintf(&b, "    %s = %s\n", step.Expression, step.Value)
	}
	return b.String()
}

func describeRule(rule *rules.Rule) string {
	text := fmt.Sprintf("%s: %s", rule.Name, rule.Action)
	if rule.Score != 0 {
		text += fmt.Sprintf(" %+d", rule.Score)
	}
	if rule.Reason != "" {
		text += " " + rule.Reason
	}
	if rule.Title != "" {
		text += " (" + rule.Title + ")"
	}
	return text
}
