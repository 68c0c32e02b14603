package tcc

import (
	"errors"
	"strings"
	"testing"
)

func TestSpecValidateReportsEveryFault(t *testing.T) {
	spec := Spec{Mode: 9, Branches: []Branch{{ID: "a", Service: "s", Action: "x"}, {ID: "a", Service: "s"}}}
	err := spec.Validate()
	if !errors.Is(err, ErrSpec) {
		t.Fatalf("got %v, want ErrSpec", err)
	}
	for _, want := range []string{"mode: unknown(9)", "branches[1].action: it is missing", `branches[1].branch_id: "a" is also branches[0]`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v lacks %q", err, want)
		}
	}
	if err := (Spec{Mode: TCC}).Validate(); !errors.Is(err, ErrSpec) {
		t.Errorf("no branches: got %v", err)
	}
}

func TestDigestTellsSpecsApart(t *testing.T) {
	base := Spec{Mode: TCC, Branches: []Branch{{ID: "a", Service: "s", Action: "x", PayloadType: "t", Payload: []byte("p")}}}
	others := []Spec{
		{Mode: Saga, Branches: base.Branches},
		{Mode: TCC, Branches: []Branch{{ID: "as", Service: "", Action: "x", PayloadType: "t", Payload: []byte("p")}}},
		{Mode: TCC, Branches: []Branch{{ID: "a", Service: "s", Action: "x", PayloadType: "t", Payload: []byte("q")}}},
		{Mode: TCC, Branches: append(base.Branches[:1:1], base.Branches[0])},
	}
	for _, other := range others {
		if other.Digest() == base.Digest() {
			t.Errorf("%+v has the digest of %+v", other, base)
		}
	}
	again := Spec{Mode: TCC, Branches: append([]Branch(nil), base.Branches...)}
	if again.Digest() != base.Digest() {
		t.Error("the digest is not stable")
	}
}

func TestRestoreRefusesContradictions(t *testing.T) {
	spec := Spec{Mode: TCC, Branches: []Branch{{ID: "a"}, {ID: "b"}}}
	try := func(sequence, branch int, status Status) Record {
		return Record{Sequence: sequence, Branch: branch, Phase: Try, Status: status, Attempt: 1}
	}
	logs := map[string][]Record{
		"gap":                   {try(2, 0, StatusStarted)},
		"unknown branch":        {try(1, 2, StatusStarted)},
		"unknown phase":         {{Sequence: 1, Phase: 7, Status: StatusStarted}},
		"confirm without try":   {try(1, 0, StatusStarted), {Sequence: 2, Phase: Confirm, Status: StatusStarted}},
		"result before its log": {{Sequence: 1, Phase: Cancel, Status: StatusSucceeded}},
		"confirm after cancel": {
			try(1, 0, StatusStarted), try(2, 1, StatusStarted), try(3, 0, StatusSucceeded), try(4, 1, StatusSucceeded),
			{Sequence: 5, Phase: Cancel, Status: StatusStarted},
			{Sequence: 6, Phase: Confirm, Status: StatusStarted},
		},
	}
	for name, log := range logs {
		if _, err := Restore(spec, 3, log); !errors.Is(err, ErrLog) {
			t.Errorf("%s: got %v, want ErrLog", name, err)
		}
	}
	begun := Record{Sequence: 1, Branch: Whole, Phase: Try, Status: StatusStarted}
	registered := func(sequence, branch int, content *Branch) Record {
		return Record{Sequence: sequence, Branch: branch, Phase: Try, Status: StatusRegistered, Attempt: 1, Registered: content}
	}
	logs = map[string][]Record{
		"registered before the beginning": {registered(1, 0, &Branch{ID: "a"})},
		"registered without content":      {begun, registered(2, 0, nil)},
		"registered out of place":         {begun, registered(2, 1, &Branch{ID: "a"})},
		"registered after the decision":   {begun, {Sequence: 2, Branch: Whole, Phase: Cancel, Status: StatusStarted}, registered(3, 0, &Branch{ID: "a"})},
		"whole with branches":             {begun, registered(2, 0, &Branch{ID: "a"}), {Sequence: 3, Branch: Whole, Phase: Confirm, Status: StatusStarted}},
		"forced before the decision":      {begun, registered(2, 0, &Branch{ID: "a"}), {Sequence: 3, Phase: Cancel, Status: StatusForced}},
	}
	for name, log := range logs {
		if _, err := Restore(Spec{Mode: Initiator}, 3, log); !errors.Is(err, ErrLog) {
			t.Errorf("%s: got %v, want ErrLog", name, err)
		}
	}
	if _, err := Restore(spec, 3, []Record{try(1, 0, StatusStarted), registered(2, 2, &Branch{ID: "c"})}); !errors.Is(err, ErrLog) {
		t.Errorf("registered in a submitted transaction: got %v, want ErrLog", err)
	}
}

// FuzzRestore: no log makes Restore panic, and what it accepts can be driven
// on without one.
func FuzzRestore(f *testing.F) {
	f.Add([]byte{0, 1, 1, 1, 1, 1, 0, 1, 2, 1, 1, 2, 0, 2, 1})
	f.Add([]byte{1, 1, 1, 1, 1, 3, 0, 3, 1})
	f.Add([]byte{255, 1, 1, 0, 1, 7, 1, 1, 7, 0, 2, 1, 1, 2, 1, 0, 2, 8, 1, 3, 8, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		spec := Spec{Mode: []Mode{TCC, Saga, Initiator}[len(data)%3], Branches: []Branch{{ID: "a"}, {ID: "b"}}}
		if spec.Mode == Initiator {
			spec.Branches = nil
		}
		var log []Record
		for i := 0; i+2 < len(data); i += 3 {
			record := Record{
				Sequence: i/3 + 1, Branch: int(int8(data[i])), Phase: Phase(data[i+1]), Status: Status(data[i+2]), Attempt: 1,
			}
			if record.Status == StatusRegistered {
				record.Registered = &Branch{ID: string(rune('a' + i%26))}
			}
			log = append(log, record)
		}
		m, err := Restore(spec, 2, log)
		if err != nil {
			return
		}
		for range 20 {
			out := m.Resume()
			if len(out.Calls) == 0 {
				break
			}
			m.Step(Result{Call: out.Calls[0], Outcome: Succeeded})
		}
		m.Expire()
		m.Retry()
		for _, phase := range []Phase{Cancel, Confirm} {
			for branch := Whole; branch <= len(m.Spec().Branches); branch++ {
				_, _ = m.Force(phase, branch, "forced") // its errors are the transcripts' matter
			}
		}
		if state := m.State(); state != Trying && !state.Ended() {
			t.Errorf("%v although everything was forced: %v", state, m.Branches())
		}
	})
}
