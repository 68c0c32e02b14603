package engine_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/backlot-video/backlot/services/settlement/internal/ledger"
)

// TestVerifyNamesReferencesThatLeadElsewhere breaks what leads from references to
// packed transfers, and each break is named, alone.
func TestVerifyNamesReferencesThatLeadElsewhere(t *testing.T) {
	suite(t, func(f *fixture) {
		var referenced []ledger.Transfer // in blocks
		var allMissing []string
		misled := func(reference, id string) string { return fmt.Sprintf("reference %q of transfer %s: ", reference, id) }
		missing := func(id string) string { return "transfer " + id + `: is not found by its reference "order"` }
		for _, t := range f.book() {
			if t.Reference == "order" && t.ChainID == "" {
				referenced = append(referenced, t)
				allMissing = append(allMissing, missing(t.ID))
			}
		}
		first, last := referenced[0], referenced[len(referenced)-1]
		of := fmt.Sprintf(" WHERE id = '%s'", first.ID)
		set := func(format string, args ...any) string {
			return "UPDATE block_references SET " + fmt.Sprintf(format, args...) + of
		}
		f.execute("CREATE TABLE kept AS SELECT * FROM block_references")
		for _, broken := range []struct {
			do       string
			tenantID string
			faults   []string // what they begin with
		}{
			{"DELETE FROM block_references" + of, "main", []string{missing(first.ID)}},
			{"DELETE FROM block_references", "main", allMissing},
			{set("sequence = %d", last.Sequence), "main", []string{misled("order", first.ID) + "leads to"}},
			{set("sequence = %d", first.Sequence+1), "main", []string{misled("order", first.ID) + "leads to"}},
			{set("sequence = 77000"), "main", []string{misled("order", first.ID)}},
			{set("ledger = (SELECT number FROM ledgers WHERE currency = 'EUR')"), "main", []string{misled("order", first.ID) + "leads to"}},
			{set("ledger = 7"), "main", []string{misled("order", first.ID)}},
			{set("reference = 'other'"), "main", []string{misled("other", first.ID) + "leads to", missing(first.ID)}},
			{set("id = 'x'"), "main", []string{misled("order", "x") + "leads to", missing(first.ID)}},
			{set("tenant_id = 'other'"), "main", []string{missing(first.ID)}},
			{set("tenant_id = 'other'"), "other", []string{misled("order", first.ID) + "leads to"}},
			{
				"INSERT INTO block_references SELECT tenant_id, 'twice', id, ledger, sequence FROM kept" + of,
				"main",
				[]string{misled("twice", first.ID) + "leads to"},
			},
		} {
			f.execute(broken.do)
			report, err := f.Verify(f.t.Context(), broken.tenantID)
			same := slices.EqualFunc(slices.Sorted(slices.Values(report.Faults)), slices.Sorted(slices.Values(broken.faults)), strings.HasPrefix)
			if err != nil || !same {
				f.t.Errorf("%s: of %s %q, %v; want %q", broken.do, broken.tenantID, report.Faults, err, broken.faults)
			}
			f.execute("DELETE FROM block_references")
			f.execute("INSERT INTO block_references SELECT * FROM kept")
			f.verified()
		}
	})
}
