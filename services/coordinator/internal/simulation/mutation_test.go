package simulation

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// mutantSeeds is within how many seeds a planted fault must be found.
const mutantSeeds = "2000"

// replayLine is how the simulation reports what it has found.
var replayLine = regexp.MustCompile(`replay with BACKLOT_SEED=\d+: [^\n]*`)

// TestSimulationFindsPlantedFaults builds the simulation over a state machine
// with each of testdata/mutations/*.patch in it. A patch that no longer applies
// is to be made anew: without it the check would be empty.
func TestSimulationFindsPlantedFaults(t *testing.T) {
	if os.Getenv("BACKLOT_SEEDS") != "" {
		return // this is a mutant's own run
	}
	patches, err := filepath.Glob("testdata/mutations/*.patch")
	if err != nil || len(patches) < 10 {
		t.Fatalf("%d patches, %v", len(patches), err)
	}
	for _, patch := range patches {
		t.Run(strings.TrimSuffix(filepath.Base(patch), ".patch"), func(t *testing.T) {
			mutant := build(t, patch)
			command := exec.CommandContext(t.Context(), mutant, "-test.run=^TestSimulation$", "-test.timeout=60s")
			command.Env = append(os.Environ(), "BACKLOT_SEEDS="+mutantSeeds)
			output, err := command.CombinedOutput()
			found := replayLine.Find(output)
			if err == nil || found == nil {
				t.Fatalf("the planted fault was not found in %s seeds: %v\n%.2000s", mutantSeeds, err, output)
			}
			t.Logf("%s", found)
		})
	}
}

// build compiles the simulation over a patched copy of the state machine.
func build(t *testing.T, patch string) (binary string) {
	t.Helper()
	module, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	absolute, err := filepath.Abs(patch)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	sources, err := filepath.Glob(filepath.Join(module, "internal/tcc/*.go"))
	if err != nil {
		t.Fatal(err)
	}
	replace := map[string]string{}
	for _, source := range sources {
		if strings.HasSuffix(source, "_test.go") {
			continue
		}
		text, err := os.ReadFile(source)
		if err != nil {
			t.Fatal(err)
		}
		copied := filepath.Join(dir, "internal/tcc", filepath.Base(source))
		replace[source] = copied
		if err := os.MkdirAll(filepath.Dir(copied), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(copied, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run(t, dir, "git", "apply", absolute)
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	list := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(list, overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	binary = filepath.Join(dir, "mutant.test")
	run(t, filepath.Join(module, "internal/simulation"), "go", "test", "-c", "-overlay", list, "-ldflags=-s -w", "-o", binary, ".")
	return binary
}

func run(t *testing.T, dir, name string, args ...string) {
	t.Helper()
	command := exec.CommandContext(t.Context(), name, args...)
	command.Dir = dir
	command.Env = append(os.Environ(), "GIT_CEILING_DIRECTORIES="+filepath.Dir(dir))
	if output, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, output)
	}
}
