package configstore

import (
	"fmt"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// keys is how many objects clients fight for.
const keys = 5

// cell is one object: empty where there is none.
type cell struct {
	value    string
	revision int64
}

// write is a change of one object by a release. An empty value deletes.
type write struct {
	key      int
	value    string
	expected int64 // revision; 0: any, -1: none
}

// The kinds of operations.
const (
	get  = iota
	each // reads of all objects in one call
	list
	apply
)

type input struct {
	kind   int
	key    int     // of get
	writes []write // of apply
	reason string  // of apply; no two have the same
}

type output struct {
	unknown  bool // of apply: whether it was carried out
	conflict bool // of apply
	release  string
	revision int64
	cells    [keys]cell // of each and list; of get the one at its key
}

// state is the whole store.
type state struct {
	cells  [keys]cell
	newest int64 // revision of the last write
	closed int64 // revision that was listed: no write has it any more
}

// model is the store as its API promises it: one copy, operations one after
// the other, revisions that rise with each. Releases may share a revision.
var model = porcupine.Model{
	Init: func() any { return state{} },
	Step: func(before, in, out any) (bool, any) {
		return before.(state).step(in.(input), out.(output))
	},
	DescribeOperation: func(in, out any) string {
		i, o := in.(input), out.(output)
		return fmt.Sprintf("%s %v -> %+v", [...]string{"get", "each", "list", "apply"}[i.kind], i, o)
	},
}

func (s state) step(in input, out output) (bool, any) {
	switch in.kind {
	case get:
		return s.cells[in.key] == out.cells[in.key], s
	case each:
		return s.cells == out.cells, s
	case list:
		allowed := s.cells == out.cells && out.revision >= s.newest && out.revision >= s.closed
		s.closed = out.revision
		return allowed, s
	}
	holds, changes := true, false
	for _, w := range in.writes {
		at := s.cells[w.key].revision
		holds = holds && (w.expected == 0 || w.expected == at || w.expected == -1 && at == 0)
		changes = changes || w.value != "" || at != 0
	}
	switch {
	case out.conflict:
		return !holds, s
	case !holds || changes == (out.release == ""):
		return false, s
	case !changes:
		return true, s
	}
	allowed := out.revision >= s.newest && out.revision > s.closed
	s.newest = out.revision
	for _, w := range in.writes {
		s.cells[w.key] = cell{}
		if w.value != "" {
			s.cells[w.key] = cell{w.value, out.revision}
		}
	}
	return allowed, s
}

// checkTime bounds the search for an order.
const checkTime = 2 * time.Minute

// order looks for an order of the operations that explains what was seen.
func order(history []porcupine.Operation) porcupine.CheckResult {
	return porcupine.CheckOperationsTimeout(model, history, checkTime)
}

// played is a history in which nothing overlaps.
func played(steps ...any) (history []porcupine.Operation) {
	for n := 0; n < len(steps); n += 2 {
		history = append(history, porcupine.Operation{Input: steps[n], Output: steps[n+1], Call: int64(2 * n), Return: int64(2*n + 1)})
	}
	return history
}

// TestModelFindsWhatMustNotBe are histories by hand.
func TestModelFindsWhatMustNotBe(t *testing.T) {
	put := func(value string, expected int64) input {
		return input{kind: apply, writes: []write{{key: 1, value: value, expected: expected}}}
	}
	done := func(revision int64) output { return output{release: "r", revision: revision} }
	seen := func(value string, revision int64) output {
		return output{revision: revision, cells: [keys]cell{1: {value, revision}}}
	}
	read, reads, all, conflict := input{kind: get, key: 1}, input{kind: each}, input{kind: list}, output{conflict: true}
	remove := input{kind: apply, writes: []write{{key: 1}}}
	for name, c := range map[string]struct {
		steps []any
		want  porcupine.CheckResult
	}{
		"as it should be":          {[]any{put("a", -1), done(5), read, seen("a", 5), put("b", 5), done(6), all, seen("b", 6), remove, done(8), read, output{}, reads, output{}, remove, output{}}, porcupine.Ok},
		"two in one revision":      {[]any{put("a", 0), done(5), input{kind: apply, writes: []write{{key: 2, value: "b"}}}, done(5)}, porcupine.Ok},
		"stale read":               {[]any{put("a", 0), done(5), put("b", 0), done(6), read, seen("a", 5)}, porcupine.Illegal},
		"stale reads":              {[]any{put("a", 0), done(5), put("b", 0), done(6), reads, seen("a", 5)}, porcupine.Illegal},
		"stale list":               {[]any{put("a", 0), done(5), put("b", 0), done(6), all, seen("a", 5)}, porcupine.Illegal},
		"lost write":               {[]any{put("a", 0), done(5), read, output{}}, porcupine.Illegal},
		"lost update":              {[]any{put("a", 0), done(5), put("b", 5), done(6), put("c", 5), done(7)}, porcupine.Illegal},
		"conflict without a cause": {[]any{put("a", 0), done(5), put("b", 5), conflict}, porcupine.Illegal},
		"revisions that fall":      {[]any{put("a", 0), done(5), put("b", 0), done(4)}, porcupine.Illegal},
		"a write below a list":     {[]any{put("a", 0), done(5), all, output{revision: 9, cells: [keys]cell{1: {"a", 5}}}, put("b", 0), done(9)}, porcupine.Illegal},
		"a deletion undone":        {[]any{put("a", 0), done(5), remove, done(6), read, seen("a", 5)}, porcupine.Illegal},
	} {
		if got := order(played(c.steps...)); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
