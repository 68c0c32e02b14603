package payout

import (
	"encoding/csv"
	"io"
	"strings"
)

// WriteCSV writes payouts as RFC 4180 CSV with a header, for a bank or for
// whoever pays them by hand: `payout_id` comes back in its settlement file.
// Amounts are decimal. A text that a spreadsheet would take for a formula gets
// an apostrophe before it.
func WriteCSV(w io.Writer, payouts []Payout) error {
	out := csv.NewWriter(w)
	rows := [][]string{{"payout_id", "owner_id", "amount", "currency", "state", "problem"}}
	for _, p := range payouts {
		number, _, _ := strings.Cut(p.Amount.Format(), " ")
		rows = append(rows, []string{p.ID, text(p.OwnerID), number, p.Amount.Currency, p.State.String(), text(p.Problem)})
	}
	return out.WriteAll(rows) // it flushes
}

func text(s string) string {
	if s != "" && strings.ContainsRune("=+-@\t\r", rune(s[0])) {
		return "'" + s
	}
	return s
}
