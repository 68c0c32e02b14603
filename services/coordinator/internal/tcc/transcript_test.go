package tcc

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite testdata/*.txt with what the machine does")

// TestTranscripts plays testdata/*.txt: lines at the margin are events,
// indented ones what they lead to.
//
//	tcc limit=2 a b        a new transaction with branches a and b
//	begin                  expire, retry
//	initiator limit=2      one without branches, which are then registered
//	register a             confirm, cancel WHY, force cancel a WHY, force confirm all WHY
//	a try 1 succeeded      the result of a call; a problem may follow
//	crash                  the process dies and goes on from the log
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := play(t, string(want))
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != string(want) {
				t.Errorf("got:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}

// player runs one transcript.
type player struct {
	machine *Machine
	log     []Record
	begun   Spec
	out     strings.Builder
}

func play(t *testing.T, text string) string {
	t.Helper()
	var p player
	for lines := bufio.NewScanner(strings.NewReader(text)); lines.Scan(); {
		line := lines.Text()
		if strings.HasPrefix(line, " ") {
			continue
		}
		fmt.Fprintln(&p.out, line)
		if line == "" || line[0] == '#' {
			continue
		}
		if err := p.event(strings.Fields(line)); err != nil {
			t.Fatalf("line %q: %v", line, err)
		}
	}
	return p.out.String()
}

func (p *player) event(words []string) error {
	switch words[0] {
	case "tcc", "saga", "initiator":
		return p.open(words)
	case "begin":
		p.show(p.machine.Begin())
	case "expire":
		p.show(p.machine.Expire())
	case "retry":
		p.show(p.machine.Retry())
	case "register", "confirm", "cancel", "force":
		out, err := p.order(words)
		if err != nil {
			fmt.Fprintf(&p.out, "  error: %v\n", err)
			return nil
		}
		p.show(out)
	case "crash":
		restored, err := Restore(p.begun, p.machine.limit, p.log)
		if err != nil {
			return err
		}
		p.machine = restored
		p.show(restored.Resume())
	default:
		result, err := p.result(words)
		if err != nil {
			return err
		}
		p.show(p.machine.Step(result))
	}
	return nil
}

func (p *player) order(words []string) (Output, error) {
	switch words[0] {
	case "register":
		return p.machine.Register(Branch{ID: words[1], Service: "s", Action: append(words[2:], "act")[0]})
	case "confirm":
		return p.machine.Confirm()
	case "cancel":
		return p.machine.Cancel(strings.Join(words[1:], " "))
	}
	branch := Whole
	for i, known := range p.machine.spec.Branches {
		if known.ID == words[2] {
			branch = i
		}
	}
	return p.machine.Force(Phase(index(phaseNames, words[1])), branch, strings.Join(words[3:], " "))
}

func (p *player) open(words []string) error {
	spec := Spec{Mode: Mode(index(modeNames, words[0]))}
	limit, err := strconv.Atoi(strings.TrimPrefix(words[1], "limit="))
	if err != nil {
		return err
	}
	for _, id := range words[2:] {
		spec.Branches = append(spec.Branches, Branch{ID: id, Service: "s", Action: "act"})
	}
	p.machine, p.log, p.begun = New(spec, limit), nil, spec
	return spec.Validate()
}

func (p *player) result(words []string) (Result, error) {
	if len(words) < 4 {
		return Result{}, errors.New("want: branch phase attempt outcome [problem]")
	}
	result := Result{
		Call:    Call{Branch: -1, Phase: Phase(index(phaseNames, words[1]))},
		Outcome: Outcome(index(outcomeNames, words[3])),
		Problem: strings.Join(words[4:], " "),
	}
	for i, branch := range p.machine.spec.Branches {
		if branch.ID == words[0] {
			result.Branch = i
		}
	}
	attempt, err := strconv.Atoi(words[2])
	result.Attempt = attempt
	if result.Branch < 0 || result.Phase < 0 || result.Outcome < 0 {
		return result, errors.New("unknown word")
	}
	return result, err
}

func index(names []string, word string) int {
	for i, name := range names {
		if name == word {
			return i
		}
	}
	return -1
}

func (p *player) show(out Output) {
	p.log = append(p.log, out.Records...)
	id := func(i int) string {
		if i == Whole {
			return "*"
		}
		return p.machine.spec.Branches[i].ID
	}
	for _, r := range out.Records {
		fmt.Fprintf(&p.out, "  log %d %s %v %v %d", r.Sequence, id(r.Branch), r.Phase, r.Status, r.Attempt)
		if r.Problem != "" {
			fmt.Fprintf(&p.out, " (%s)", r.Problem)
		}
		fmt.Fprintln(&p.out)
	}
	for _, c := range out.Calls {
		fmt.Fprintf(&p.out, "  call %s %v %d\n", id(c.Branch), c.Phase, c.Attempt)
	}
	fmt.Fprintf(&p.out, "  %v", p.machine.State())
	if problem := p.machine.Problem(); problem != "" {
		fmt.Fprintf(&p.out, ": %s", problem)
	}
	fmt.Fprintln(&p.out)
}
