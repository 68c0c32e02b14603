package tool

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestBacktestPage runs the example of docs/backtest.md.
func TestBacktestPage(t *testing.T) {
	page, err := os.ReadFile("../../../../docs/backtest.md")
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, block := range regexp.MustCompile("(?s)```\\w+ ([\\w.]+)\n(.*?)```").FindAllStringSubmatch(string(page), -1) {
		files[block[1]] = block[2]
	}
	output := regexp.MustCompile("(?s)```output\n(.*?)```").FindStringSubmatch(string(page))
	if len(files) != 3 || output == nil {
		t.Fatalf("%d files", len(files))
	}
	code, out, errs := run(t, files, "", "backtest", "draft.rules", "--against", "live.rules", "events.jsonl")
	if code != 0 || !strings.Contains(out, output[1]) {
		t.Errorf("code %d %s\n%s", code, errs, out)
	}
	for _, flag := range regexp.MustCompile("--[a-z][a-z-]+").FindAllString(string(page), -1) {
		_, help, _ := run(t, nil, "", "backtest", "--help")
		if !strings.Contains(help, flag) {
			t.Errorf("the page names %s, which the verb does not have", flag)
		}
	}
}
