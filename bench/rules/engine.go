package rules

import (
	"fmt"
	"net/netip"
	"slices"
)

// Engine makes sets of rules of one dialect.
type Engine struct {
	Name    string // with version
	Dialect Dialect
	// Compile makes a set of rules that can judge these events. Everything
	// that can be done ahead of the judging, it does.
	Compile func(rules []Rule, events []Event) (Set, error)
}

// Set is a compiled set of rules and the events that it can judge, decoded.
type Set interface {
	// Judge applies the rules to event i.
	Judge(i int) error
	// JudgeAll applies them to each event. It is what is timed.
	JudgeAll() error
	// Fired lists the rules that fired in the last Judge, in ascending order,
	// by their index.
	Fired() []int
}

// engineNames have versions, for figures are of a version.
var engineNames = [dialects]string{
	"ours", "expr v1.17.8", "cel-go v0.32.0", "goja v0.0.0-20260917113740", "gval v1.2.4", "govaluate v3.0.0",
}

// Engines are ours and the peers.
var Engines = []Engine{
	{engineNames[Ours], Ours, compileOurs},
	{engineNames[Expr], Expr, compileExpr},
	{engineNames[Expr] + " on structs", Expr, compileExprStruct},
	{engineNames[CEL], CEL, compileCEL},
	{engineNames[JS], JS, compileGoja},
	{engineNames[Gval], Gval, compileGval},
	{engineNames[Govaluate], Govaluate, compileGovaluate},
}

// Agree compares what engines say of every event with what the conditions say
// in Go. It returns the number of matches.
func Agree(rules []Rule, events []Event, sets map[string]Set) (matches int, err error) {
	for i := range events {
		var want []int
		for j := range rules {
			if rules[j].holds(&events[i]) {
				want = append(want, j)
			}
		}
		matches += len(want)
		for name, set := range sets {
			if err := set.Judge(i); err != nil {
				return 0, fmt.Errorf("%s: event %d: %w", name, i, err)
			}
			if got := set.Fired(); !slices.Equal(got, want) {
				return 0, fmt.Errorf("%s: event %d: fired %s, want %s: %+v", name, i, texts(rules, got), texts(rules, want), events[i])
			}
		}
	}
	return matches, nil
}

func texts(rules []Rule, indexes []int) []string {
	list := make([]string, len(indexes))
	for i, index := range indexes {
		list[i] = rules[index].Name + " " + rules[index].text[Ours]
	}
	return list
}

// variable is a field of an event as peers name it.
type variable struct {
	name  string
	value func(*Event) any
}

// variables are the fields of an event, but for the addresses and items, which
// each peer has in its own form.
var variables = []variable{
	{"amount", func(e *Event) any { return e.Amount }},
	{"fee", func(e *Event) any { return e.Fee }},
	{"card", func(e *Event) any { return e.Card }},
	{"ip", func(e *Event) any { return e.IP }},
	{"email", func(e *Event) any { return e.Email }},
	{"device", func(e *Event) any { return e.Device }},
	{"merchant", func(e *Event) any { return e.Merchant }},
	{"channel", func(e *Event) any { return e.Channel }},
	{"at", func(e *Event) any { return e.At }},
	{"account_age", func(e *Event) any { return e.AccountAge }},
	{"paid_orders", func(e *Event) any { return e.PaidOrders }},
	{"refunds", func(e *Event) any { return e.Refunds }},
	{"failed", func(e *Event) any { return e.Failed }},
	{"risk", func(e *Event) any { return e.Risk }},
	{"is_3ds", func(e *Event) any { return e.Is3DS }},
	{"card_count", func(e *Event) any { return e.CardCount }},
	{"device_count", func(e *Event) any { return e.DeviceCount }},
	{"device_total", func(e *Event) any { return e.DeviceTotal }},
}

// stolen is the list of cards as peers hold it.
func stolen() map[string]struct{} {
	set := make(map[string]struct{}, listedCards)
	for i := range listedCards {
		set[listedCard(i)] = struct{}{}
	}
	return set
}

// inCIDR is the function that the host gives to peers. It parses each prefix,
// a constant of a rule, once.
func inCIDR() func(address netip.Addr, prefix string) bool {
	parsed := map[string]netip.Prefix{}
	return func(address netip.Addr, prefix string) bool {
		p, ok := parsed[prefix]
		if !ok {
			p = netip.MustParsePrefix(prefix)
			parsed[prefix] = p
		}
		return p.Contains(address)
	}
}

// singles is a set of rules that are judged one by one.
type singles struct {
	count  int
	events int
	holds  func(rule, event int) (bool, error)
	fired  []int
}

func (s *singles) Judge(event int) error {
	s.fired = s.fired[:0]
	for rule := range s.count {
		holds, err := s.holds(rule, event)
		if err != nil {
			return err
		}
		if holds {
			s.fired = append(s.fired, rule)
		}
	}
	return nil
}

func (s *singles) JudgeAll() error {
	for event := range s.events {
		if err := s.Judge(event); err != nil {
			return err
		}
	}
	return nil
}

func (s *singles) Fired() []int { return s.fired }
