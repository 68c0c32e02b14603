package statement

import (
	"encoding/csv"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/backlot-video/backlot/kit/money"
)

// columns are the header of the file.
var columns = []string{"posted_at", "type", "reference", "transfer_id", "sequence", "amount", "balance", "currency"}

// WriteCSV writes a statement as RFC 4180 CSV: a header, a line `opening`, the
// postings, a line `closing`. Amounts are decimal, times RFC 3339 in UTC. Texts
// that a spreadsheet would take for a formula get an apostrophe before them.
func WriteCSV(w io.Writer, s Statement) error {
	out := csv.NewWriter(w)
	rows := [][]string{columns, edge("opening", s.From, s.Opening)}
	for _, line := range s.Lines {
		rows = append(rows, []string{
			stamp(line.PostedAt), text(string(line.Type)), text(line.Reference), text(line.TransferID),
			strconv.FormatInt(line.Sequence, 10), decimal(line.Amount), decimal(line.Balance), line.Amount.Currency,
		})
	}
	rows = append(rows, edge("closing", s.To, s.Closing))
	return out.WriteAll(rows) // it flushes
}

func edge(name string, at time.Time, balance money.Amount) []string {
	return []string{stamp(at), name, "", "", "", "", decimal(balance), balance.Currency}
}

func stamp(at time.Time) string { return at.UTC().Format("2006-01-02T15:04:05.000000Z") }

// decimal is an amount without its currency.
func decimal(amount money.Amount) string {
	number, _, _ := strings.Cut(amount.Format(), " ")
	return number
}

// text is what somebody else chose.
func text(s string) string {
	if s != "" && strings.ContainsRune("=+-@\t\r", rune(s[0])) {
		return "'" + s
	}
	return s
}
