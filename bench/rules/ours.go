package rules

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	backlot "github.com/backlot-video/backlot/services/rules"
	"github.com/backlot-video/backlot/services/rules/list"
	velocities "github.com/backlot-video/backlot/services/rules/velocity"
)

// Source is a ruleset in our dialect; reason is told by all of its rules.
func Source(rules []Rule, reason string) string {
	var b strings.Builder
	for _, rule := range rules {
		fmt.Fprintf(&b, "rule %s\n  when %s\n  then review score 10 reason %s\n", rule.Name, rule.text[Ours], reason)
	}
	return b.String()
}

// Options are what ours is compiled with: the list of cards, a sample of other
// events, and a store that has counted the history of these.
func Options(events []Event) (*backlot.Options, error) {
	lists, err := stolenList()
	if err != nil {
		return nil, err
	}
	options := &backlot.Options{
		Lists: lists, Scope: "bench",
		Counters: velocities.New(velocities.Config{MaxBytes: 1 << 30, Clock: func() time.Time { return day.Add(48 * time.Hour) }}),
	}
	schema, err := Schema()
	if err != nil {
		return nil, err
	}
	var recent [][]byte
	for _, e := range Sample() {
		recent = append(recent, e.Wire())
	}
	options.Sample = backlot.NewSample(schema, recent)
	return options, countHistory(events, options)
}

// stolenList holds the list of cards; it is made once.
var stolenList = sync.OnceValues(func() (*list.Registry, error) {
	entries := make([]string, listedCards)
	for i := range entries {
		entries[i] = listedCard(i)
	}
	cards, err := list.New(entries)
	if err != nil {
		return nil, err
	}
	lists := &list.Registry{}
	lists.Set("stolen", cards)
	return lists, nil
})

func countHistory(events []Event, options *backlot.Options) error {
	schema, err := Schema()
	if err != nil {
		return err
	}
	program, err := backlot.Compile("history", `rule counts when count(payment by card over 30d) > 0
		or count(payment by device over 7d) > 0 or sum(amount by device over 7d) > 0.00 CNY then allow`, schema, options)
	if err != nil {
		return err
	}
	var decision backlot.Decision
	for i := range events {
		for _, past := range events[i].history() {
			if err := program.Evaluate(past.Wire(), &decision, nil); err != nil {
				return err
			}
		}
	}
	return nil
}

// ours judges by one Program events that were decoded, and whose velocity was
// read, ahead.
type ours struct {
	program  *backlot.Program
	events   []*backlot.Event
	decision backlot.Decision
}

func compileOurs(rules []Rule, events []Event) (Set, error) {
	schema, err := Schema()
	if err != nil {
		return nil, err
	}
	options, err := Options(events)
	if err != nil {
		return nil, err
	}
	program, err := backlot.Compile("bench", Source(rules, "BENCH"), schema, options)
	if err != nil {
		return nil, err
	}
	return decoded(program, events)
}

// decoded makes a set of a program and the events that it is to judge.
func decoded(program *backlot.Program, events []Event) (Set, error) {
	set := &ours{program: program, events: make([]*backlot.Event, len(events))}
	for i := range events {
		set.events[i] = program.NewEvent()
		if err := program.Decode(events[i].Wire(), set.events[i]); err != nil {
			return nil, err
		}
		program.Observe(set.events[i], &backlot.Request{ReadOnly: true})
	}
	return set, nil
}

func (s *ours) Judge(i int) error {
	s.program.Judge(s.events[i], &s.decision)
	return nil
}

func (s *ours) JudgeAll() error {
	for _, event := range s.events {
		s.program.Judge(event, &s.decision)
	}
	return nil
}

func (s *ours) Fired() []int {
	fired := make([]int, 0, len(s.decision.Fired))
	for _, rule := range s.decision.Fired {
		index, _ := strconv.Atoi(rule.Name[1:])
		fired = append(fired, index)
	}
	slices.Sort(fired)
	return fired
}

// condition is one condition of ours without a rule around it.
type condition struct {
	*backlot.Condition
	events []*backlot.Event
	holds  bool
}

func compileCondition(rules []Rule, events []Event) (Set, error) {
	schema, err := Schema()
	if err != nil {
		return nil, err
	}
	options, err := Options(events)
	if err != nil {
		return nil, err
	}
	compiled, err := backlot.CompileCondition("bench", rules[0].text[Ours], schema, options)
	if err != nil {
		return nil, err
	}
	set := &condition{Condition: compiled, events: make([]*backlot.Event, len(events))}
	for i := range events {
		set.events[i] = compiled.NewEvent()
		if err := compiled.Decode(events[i].Wire(), set.events[i]); err != nil {
			return nil, err
		}
		compiled.Observe(set.events[i], &backlot.Request{ReadOnly: true})
	}
	return set, nil
}

func (c *condition) Judge(i int) error {
	c.holds = c.Holds(c.events[i])
	return nil
}

func (c *condition) JudgeAll() error {
	for _, event := range c.events {
		c.holds = c.Holds(event)
	}
	return nil
}

func (c *condition) Fired() []int {
	if c.holds {
		return []int{0}
	}
	return nil
}
