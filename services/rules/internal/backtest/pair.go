package backtest

import (
	"cmp"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/backlot-video/backlot/services/rules"
	"github.com/backlot-video/backlot/services/rules/internal/check"
	"github.com/backlot-video/backlot/services/rules/internal/column"
	"github.com/backlot-video/backlot/services/rules/internal/program"
	"github.com/backlot-video/backlot/services/rules/internal/syntax"
	"github.com/backlot-video/backlot/services/rules/list"
	"github.com/backlot-video/backlot/services/rules/velocity"
)

// pair is the draft and the live ruleset, checked as one: a field has one
// column, equal conditions are judged once and equal counters count once.
type pair struct {
	set      *check.Set
	plan     *column.Scope
	program  *column.Program
	draft    side
	live     *side // nil: verdicts are recorded
	counter  *column.Counter
	now      atomic.Int64 // time of the latest event, Unix microseconds
	disorder int64
}

// side is one of the rulesets.
type side struct {
	rules []column.Rule // strictest action first
	cost  int64         // the program's bound
}

func newPair(config *Config) (*pair, error) {
	m := &merger{file: &syntax.File{}, lists: &list.Registry{}}
	p := &pair{disorder: config.Disorder.Microseconds()}
	draft, err := m.add(config, &config.Draft, "draft")
	if err != nil {
		return nil, err
	}
	p.draft.cost = draft.cost
	var live merged
	if config.Live != nil {
		if live, err = m.add(config, config.Live, "live"); err != nil {
			return nil, err
		}
		p.live = &side{cost: live.cost}
	}
	set, faults := check.Check(m.file, config.Schema, m.lists)
	if len(faults) > 0 {
		return nil, fmt.Errorf("backtest: draft and live version together: %s", faults[0].Message)
	}
	p.set = set
	at := ""
	if field := config.Schema.Time(); field != nil {
		at = string(field.Name())
	}
	p.plan = column.NewPlan(set, at)
	p.program = column.Compile(set)
	p.draft.rules = ordered(set.Rules[:len(draft.names)], draft.names)
	if p.live != nil {
		p.live.rules = ordered(set.Rules[len(draft.names):], live.names)
	}
	p.counter = column.NewCounter(set, p.plan, program.NewWindows(set, p.counters(config), "backtest"))
	return p, nil
}

// counters returns a store whose clock stands at the latest event.
func (p *pair) counters(config *Config) velocity.Counters {
	return velocity.New(velocity.Config{
		MaxBytes: config.VelocityBytes,
		Clock:    func() time.Time { return time.UnixMicro(p.now.Load()) },
		Secret:   []byte("backtests are repeatable: 32 bytes"),
	})
}

// ordered returns rules in the order in which decisions tell them.
func ordered(checked []*check.Rule, names []string) []column.Rule {
	all := make([]column.Rule, len(checked))
	for i, rule := range checked {
		all[i] = column.Rule{Rule: rule, Name: names[i]}
	}
	slices.SortStableFunc(all, func(a, b column.Rule) int {
		return cmp.Or(int(b.Action)-int(a.Action), cmp.Compare(b.Priority, a.Priority))
	})
	return all
}

// merger puts rulesets into one file. Rules and lists of a name may differ
// between them, so both get a prefix.
type merger struct {
	file  *syntax.File
	lists *list.Registry
	first []*syntax.List // of the ruleset added first, under their own names
	added string         // its prefix
}

type merged struct {
	names []string // of the rules as in the source
	cost  int64
}

// add compiles a ruleset by itself, for its faults, and adds it.
func (m *merger) add(config *Config, source *Source, prefix string) (merged, error) {
	compiled, err := rules.Compile(source.Name, source.Text, config.Schema, &rules.Options{Lists: source.Lists})
	if err != nil {
		return merged{}, err
	}
	file, faults := syntax.Parse(source.Text)
	if len(faults) > 0 {
		return merged{}, fmt.Errorf("backtest: %s: %s", source.Name, faults[0].Message) // Compile found none
	}
	prefix += " " // no name has a space
	renamed := map[string]string{}
	for _, decl := range file.Lists {
		name := decl.Name.Name
		if m.same(decl) {
			renamed[name] = m.added + name
			continue
		}
		renamed[name] = prefix + name
		own := *decl
		own.Name.Name = prefix + name
		m.file.Lists = append(m.file.Lists, &own)
		if m.added == "" {
			m.first = append(m.first, decl)
		}
	}
	for _, name := range compiled.Lists() {
		if _, own := renamed[name]; own || source.Lists == nil {
			continue
		}
		if ref, ok := source.Lists.Ref(name); ok {
			renamed[name] = prefix + name
			m.lists.Set(prefix+name, ref.Get())
		}
	}
	result := merged{cost: compiled.Cost()}
	for _, rule := range file.Rules {
		result.names = append(result.names, rule.Name.Name)
		rule.Name.Name = prefix + rule.Name.Name
		renameLists(rule.When, renamed)
		m.file.Rules = append(m.file.Rules, rule)
	}
	if m.added == "" {
		m.added = prefix
	}
	return result, nil
}

// same reports whether the ruleset added first has the same list.
func (m *merger) same(decl *syntax.List) bool {
	return slices.ContainsFunc(m.first, func(known *syntax.List) bool {
		return known.Name.Name == decl.Name.Name && known.MatchName() == decl.MatchName() &&
			slices.EqualFunc(known.Entries, decl.Entries, func(a, b *syntax.Literal) bool { return a.Str == b.Str })
	})
}

// renameLists gives the lists that an expression refers to other names.
func renameLists(x syntax.Expr, names map[string]string) {
	switch x := x.(type) {
	case *syntax.Paren:
		renameLists(x.X, names)
	case *syntax.Not:
		renameLists(x.X, names)
	case *syntax.Neg:
		renameLists(x.X, names)
	case *syntax.Missing:
		renameLists(x.X, names)
	case *syntax.Logic:
		for _, term := range x.Terms {
			renameLists(term, names)
		}
	case *syntax.Binary:
		renameLists(x.X, names)
		renameLists(x.Y, names)
	case *syntax.Call:
		for _, arg := range x.Args {
			renameLists(arg, names)
		}
	case *syntax.Quantifier:
		renameLists(x.Body, names)
	case *syntax.In:
		renameLists(x.X, names)
		if set, ok := x.Set.(*syntax.NamedList); ok {
			if name, known := names[set.Name.Name]; known {
				set.Name.Name = name
			}
		}
	}
}

// order checks that a batch goes on in time after those before it.
func (p *pair) order(b *column.Batch) (row int, behind time.Duration, ok bool) {
	if p.set.Time < 0 {
		return 0, 0, true
	}
	c := &b.Cols[p.set.Time]
	latest := p.now.Load()
	for row := range b.N {
		if !c.OK.Has(row) {
			continue
		}
		if at := c.N[row]; at < latest-p.disorder {
			return row, time.Duration(latest-at) * time.Microsecond, false
		} else if at > latest {
			latest = at
		}
	}
	p.now.Store(latest)
	return 0, 0, true
}
