package check_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/backlot-video/backlot/services/rules/fact"
	"github.com/backlot-video/backlot/services/rules/internal/check"
	"github.com/backlot-video/backlot/services/rules/internal/facttest"
	"github.com/backlot-video/backlot/services/rules/internal/syntax"
)

// FuzzCheck wants either faults within the source, or a set whose nodes have
// types and slots that exist.
func FuzzCheck(f *testing.F) {
	files, err := filepath.Glob("../../testdata/*.txt")
	if err != nil || len(files) == 0 {
		f.Fatalf("no transcripts: %v", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for section := range strings.SplitSeq(string(text), "-- ") {
			source, ok := strings.CutPrefix(section, "rules --\n")
			if !ok {
				continue
			}
			f.Add(source)
			for line := range strings.SplitSeq(source, "\n") {
				f.Add(line)
			}
		}
	}
	schema, err := fact.New(facttest.Order(), fact.Config{})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, src string) {
		file, faults := syntax.Parse(src)
		if len(faults) > 0 {
			return
		}
		set, faults := check.Check(file, schema, nil)
		for _, fault := range faults {
			if fault.Message == "" || fault.Span.Start < 0 || fault.Span.End < fault.Span.Start || int(fault.Span.End) > len(src) {
				t.Fatalf("fault %+v of %d bytes", fault, len(src))
			}
		}
		if len(faults) > 0 {
			return
		}
		if len(set.Rules) != len(file.Rules) || len(set.Tests) != len(file.Tests) {
			t.Fatalf("%d rules and %d tests, want %d and %d", len(set.Rules), len(set.Tests), len(file.Rules), len(file.Tests))
		}
		walked := walker{t: t, width: set.Layout.Root().Width(), known: map[*check.Node]bool{}}
		for _, rule := range set.Rules {
			walked.walk(rule.When)
			if rule.When.Type.Kind != fact.Bool {
				t.Fatalf("rule %s is %v", rule.Name.Name, rule.When.Type.Kind)
			}
		}
	})
}

type walker struct {
	t     *testing.T
	width int // slots of the fact
	known map[*check.Node]bool
}

func (w *walker) walk(n *check.Node) {
	if w.known[n] {
		return
	}
	w.known[n] = true
	switch {
	case n.Type.Kind == fact.Invalid:
		w.t.Fatalf("node %v has no type", n.Op)
	case n.Op <= check.IsMissing && n.Type.Kind != fact.Bool:
		w.t.Fatalf("condition %v is %v", n.Op, n.Type.Kind)
	case n.Op == check.Field && (n.Depth < 0 || n.Depth > check.MaxNesting || n.Depth == 0 && n.Slot >= w.width):
		w.t.Fatalf("field in slot %d at depth %d, the fact has %d", n.Slot, n.Depth, w.width)
	case n.Op == check.Matches && n.Regex == nil, n.Op == check.InList && n.List == nil:
		w.t.Fatalf("%v without what it needs", n.Op)
	}
	for _, arg := range n.Args {
		w.walk(arg)
	}
}
