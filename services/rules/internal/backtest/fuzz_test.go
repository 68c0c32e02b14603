package backtest

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/backlot-video/backlot/services/rules/fact"
	"github.com/backlot-video/backlot/services/rules/internal/facttest"
)

// FuzzInput runs over files of any content: an error perhaps, but no panic, and
// never more events than there can be.
func FuzzInput(f *testing.F) {
	schema, err := fact.New(facttest.Order(), fact.Config{})
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range files(f, orders(20)) {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(t.TempDir(), "events")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		result, err := Run(context.Background(), Config{
			Schema: schema, Draft: Source{Name: "draft.rules", Text: draft}, Live: &Source{Name: "live.rules", Text: live},
			Inputs: []string{path}, VerdictField: "verdict", Workers: 2, SkipBad: 3,
		})
		if err == nil && result.Events > int64(len(data))*8 {
			t.Errorf("%d events of %d bytes", result.Events, len(data))
		}
	})
}
