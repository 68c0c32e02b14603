package main

import (
	"strings"
	"testing"
)

func TestAnUnknownVerbIsAUsageError(t *testing.T) {
	if code := run([]string{"fly"}); code != 2 {
		t.Errorf("exit code %d", code)
	}
}

func TestUsageNamesEveryService(t *testing.T) {
	for _, service := range services() {
		if !strings.Contains(usage, service.Name()) {
			t.Errorf("usage does not name %s", service.Name())
		}
	}
}

func TestRulesHasVerbs(t *testing.T) {
	for args, want := range map[string]int{"help": 0, "fly": 2, "check": 2} {
		if code := run([]string{"rules", args}); code != want {
			t.Errorf("backlot rules %s: exit code %d", args, code)
		}
	}
}

func TestToolsRefuseWhatTheyDoNotKnow(t *testing.T) {
	for _, args := range [][]string{{"demo", "--gatewya=x"}, {"demo", "--seconds=0"}, {"certs", "extra"}} {
		if code := run(args); code != 1 {
			t.Errorf("%v: exit code %d", args, code)
		}
	}
}
