package tool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/backlot-video/backlot/kit/config"
	"github.com/backlot-video/backlot/kit/tool"
	rulesv1 "github.com/backlot-video/backlot/proto/gen/backlot/rules/v1"
	"github.com/backlot-video/backlot/proto/gen/backlot/rules/v1/rulesv1connect"
	"github.com/backlot-video/backlot/services/rules"
	"github.com/backlot-video/backlot/services/rules/internal/backtest"
)

var backtestVerb = Verb{
	Name: "backtest", Args: "DRAFT [--against LIVE] EVENTS...",
	About: "runs a draft over recorded events and compares its verdicts with the live version's",
	Examples: []string{
		"backtest draft.rules --against live.rules events.jsonl",
		"backtest draft.rules --against live.rules 'events/*.parquet' --fail-if 'deny-rate>2%' --fail-if 'change-rate>5%'",
		"backtest draft.rules --against-live payments events.jsonl",
		"backtest --json draft.rules --verdict-field verdict events.jsonl.zst",
		"backtest --descriptors facts.binpb --fact shop.v1.OrderFact draft.rules --against live.rules - < events.jsonl",
	},
	Run: runBacktest,
}

type backtestFlags struct {
	facts
	remote
	against, againstLive      string
	failIf                    repeated
	bands                     []backtest.Band
	json                      bool
	skipBad, samples, workers int
	seed                      int
	run                       backtest.Config
}

func (c *backtestFlags) register(set *config.Set) {
	c.facts.register(set)
	set.String(&c.against, "against", "", "`file` of the live version")
	set.String(&c.againstLive, "against-live", "", "`name` of a ruleset of a running Backlot, whose version in force is the live version; its lists are looked for beside the draft")
	c.Register(set)
	set.String(&c.run.VerdictField, "verdict-field", "", "`field` of the events that holds a recorded verdict: allow, challenge, review or deny; without --against the draft is compared with it")
	set.Bool(&c.run.IgnoreUnknown, "ignore-unknown", false, "pass over fields of events that the fact type does not have")
	set.Int(&c.skipBad, "skip-bad", 0, "`number` of events that cannot be read to pass over")
	set.Value(&c.failIf, "fail-if", "`band` that fails the run, as deny-rate>2%; may be repeated. Measures: "+backtest.Measures)
	set.Bool(&c.json, "json", false, "print one JSON document")
	set.Int(&c.samples, "samples", 5, "`number` of example events of each kind of change")
	set.Int(&c.seed, "seed", 0, "`number` that chooses the examples")
	set.Int(&c.workers, "workers", 0, "`number` of events judged at a time; 0: one for each core")
	set.Duration(&c.run.Disorder, "disorder", time.Minute, "how far an event may be earlier than one before it, where rules use velocity; more is an error")
	set.Size(&c.run.VelocityBytes, "velocity-bytes", 1<<30, "memory of velocity counters; the least recently used keys go first")
}

// complete checks the arguments and reads what they name.
func (c *backtestFlags) complete(ctx context.Context, args []string, std *Stdio) error {
	if len(args) < 2 {
		return errors.New("want a DRAFT and EVENTS")
	}
	for _, text := range c.failIf {
		band, err := backtest.ParseBand(text)
		if err != nil {
			return fmt.Errorf("--fail-if: %w", err)
		}
		c.bands = append(c.bands, band)
	}
	switch {
	case c.skipBad < 0 || c.workers < 0 || c.samples < 0:
		return errors.New("--skip-bad, --workers and --samples cannot be below 0")
	case c.against != "" && c.againstLive != "":
		return errors.New("--against and --against-live exclude each other")
	case c.against == "" && c.againstLive == "" && c.run.VerdictField == "":
		return errors.New("give the live version by --against or --against-live, or the recorded verdict by --verdict-field")
	}
	if err := c.load(); err != nil {
		return err
	}
	draft, err := c.source(args[0], std, &c.run.Draft)
	if err != nil {
		return err
	}
	if c.run.Schema, _, err = c.of(draft.text, draft.dir()); err != nil {
		return fmt.Errorf("%s: %w", draft.name(), err)
	}
	c.run.Rates = c.dirs[draft.dir()].rates.Get()
	if err := c.live(ctx, std); err != nil {
		return err
	}
	c.run.Inputs, c.run.Stdin = args[1:], std.In
	c.run.SkipBad, c.run.Samples, c.run.Workers, c.run.Seed = c.skipBad, c.samples, c.workers, uint64(c.seed)
	if c.samples == 0 {
		c.run.Samples = -1
	}
	c.run.Meter = &backtest.Meter{}
	return nil
}

// live finds the live version.
func (c *backtestFlags) live(ctx context.Context, std *Stdio) error {
	if c.against != "" {
		c.run.Live = &backtest.Source{}
		_, err := c.source(c.against, std, c.run.Live)
		return err
	}
	if c.againstLive == "" {
		return nil
	}
	if err := c.SignIn(ctx); err != nil {
		return err
	}
	response, err := rulesv1connect.NewReleaseServiceClient(c.Client, c.URL).GetRuleset(ctx, &rulesv1.GetRulesetRequest{Ruleset: c.againstLive, Sources: true})
	if err != nil {
		return fmt.Errorf("ruleset %s: %w", c.againstLive, tool.Plain(err))
	}
	if response.GetLiveSource() == "" {
		return fmt.Errorf("ruleset %s has no version in force", c.againstLive)
	}
	c.run.Live = &backtest.Source{Name: c.againstLive + " (in force)", Text: response.GetLiveSource(), Lists: c.run.Draft.Lists}
	return nil
}

// source reads one ruleset with its lists.
func (c *backtestFlags) source(path string, std *Stdio, into *backtest.Source) (*source, error) {
	read, err := readSources([]string{path}, std.In)
	if err != nil {
		return nil, err
	}
	if len(read) != 1 {
		return nil, fmt.Errorf("want one ruleset, %s has %d", path, len(read))
	}
	_, lists, err := c.of(read[0].text, read[0].dir())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", read[0].name(), err)
	}
	*into = backtest.Source{Name: read[0].name(), Text: read[0].text, Lists: lists}
	return &read[0], nil
}

func runBacktest(ctx context.Context, verb *Verb, args []string, std *Stdio) int {
	set := config.New(verb.Name)
	var c backtestFlags
	c.register(set)
	rest, code, done := verb.parse(set, args, std)
	if done {
		return code
	}
	if err := c.complete(ctx, rest, std); err != nil {
		return std.fail(verb, err)
	}
	progress := startProgress(std.Err, c.run.Meter)
	result, err := backtest.Run(ctx, c.run)
	progress.stop()
	var faults rules.Errors
	switch {
	case errors.As(err, &faults):
		for _, d := range compileFaults(faults) {
			std.print(std.Err, d)
		}
		return exitFaults
	case err != nil:
		return std.fail(verb, err)
	}
	return c.report(verb, result, std)
}

// report prints a result and what it breaks, and returns the code for it.
func (c *backtestFlags) report(verb *Verb, result *backtest.Result, std *Stdio) int {
	broken := []string{}
	for _, band := range c.bands {
		text, err := band.Broken(result)
		if err != nil {
			return std.fail(verb, fmt.Errorf("--fail-if: %w", err))
		}
		if text != "" {
			broken = append(broken, text)
		}
	}
	var err error
	if c.json {
		err = writeJSON(std.Out, struct {
			*backtest.Result
			Broken []string `json:"broken"`
		}{result, broken})
	} else {
		_, err = io.WriteString(std.Out, std.compared(result))
	}
	if err != nil {
		return std.fail(verb, err)
	}
	for _, text := range broken {
		_, _ = fmt.Fprintf(std.Err, "%s %s\n", std.paint(red, "fails:"), text)
	}
	if len(broken) > 0 || result.Partial {
		return exitFaults
	}
	return exitOK
}

// progress shows how far a run is: a bar on a terminal, else a line now and
// then.
type progress struct {
	done, ended chan struct{}
}

func startProgress(w io.Writer, meter *backtest.Meter) *progress {
	p := &progress{make(chan struct{}), make(chan struct{})}
	every, bar := 10*time.Second, false
	if file, ok := w.(*os.File); ok {
		if info, err := file.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
			every, bar = 200*time.Millisecond, true
		}
	}
	go p.show(w, meter, every, bar)
	return p
}

func (p *progress) show(w io.Writer, meter *backtest.Meter, every time.Duration, bar bool) {
	defer close(p.ended)
	began := time.Now()
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-p.done:
			if bar {
				_, _ = io.WriteString(w, "\r\x1b[K")
			}
			return
		case <-ticker.C:
			line := progressLine(meter, time.Since(began), bar)
			if bar {
				line = "\r" + line + "\x1b[K"
			} else {
				line += "\n"
			}
			_, _ = io.WriteString(w, line)
		}
	}
}

func (p *progress) stop() {
	close(p.done)
	<-p.ended
}
