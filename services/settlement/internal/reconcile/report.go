package reconcile

import (
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/backlot-video/backlot/kit/money"
)

// Kind is a kind of difference. The numbers are the contract's.
type Kind int

// The kinds.
const (
	MissingHere     Kind = 1 // the file has it, we do not
	MissingThere    Kind = 2 // we have it, the file does not
	AmountDiffers   Kind = 3
	CurrencyDiffers Kind = 4
	Duplicate       Kind = 5 // the file has it again
	StateDiffers    Kind = 6 // money moved by one and not by the other
)

func (k Kind) String() string {
	names := []string{"", "missing_here", "missing_there", "amount", "currency", "duplicate", "state"}
	if k < MissingHere || int(k) >= len(names) {
		return fmt.Sprintf("kind(%d)", int(k))
	}
	return names[k]
}

// Difference is what does not agree of one payment. The amount of a side that
// does not have it is the zero Amount.
type Difference struct {
	Kind                 Kind
	Reference            string
	Line                 int // of the file; 0 where it has none
	Ours, Theirs         money.Amount
	OurState, TheirState string
	TransferID           string
}

// Total sums one currency: what moved money alone, and of ours what is of the
// time that the file covers.
type Total struct {
	Ours, Theirs         money.Amount
	OurCount, TheirCount int64
}

// Report is what a comparison has found.
type Report struct {
	Rows, Matched int64
	Found         int64        // differences in all
	Differences   []Difference // at most MaxDifferences
	Totals        []Total      // by currency
}

// WriteCSV writes the differences as CSV with a header.
func WriteCSV(w io.Writer, differences []Difference) error {
	out := csv.NewWriter(w)
	rows := [][]string{{"kind", "reference", "line", "ours", "theirs", "currency_ours", "currency_theirs", "our_state", "their_state", "transfer_id"}}
	for _, d := range differences {
		rows = append(rows, []string{
			d.Kind.String(), text(d.Reference), number(d.Line), decimal(d.Ours), decimal(d.Theirs),
			d.Ours.Currency, d.Theirs.Currency, d.OurState, text(d.TheirState), d.TransferID,
		})
	}
	return out.WriteAll(rows) // it flushes
}

// WriteText writes a report for people.
func WriteText(w io.Writer, r Report) error {
	var b strings.Builder
	fmt.Fprintf(&b, "rows %d, agree %d, differences %d\n", r.Rows, r.Matched, r.Found)
	for _, total := range r.Totals {
		fmt.Fprintf(&b, "  ours %s in %d, theirs %s in %d\n", total.Ours, total.OurCount, total.Theirs, total.TheirCount)
	}
	for _, d := range r.Differences {
		where := "not in the file"
		if d.Line > 0 {
			where = fmt.Sprintf("line %d", d.Line)
		}
		fmt.Fprintf(&b, "%-13s %s (%s): ours %s, theirs %s\n", d.Kind, strconv.QuoteToGraphic(d.Reference), where,
			side(d.Ours, d.OurState), side(d.Theirs, d.TheirState))
	}
	if more := r.Found - int64(len(r.Differences)); more > 0 {
		fmt.Fprintf(&b, "and %d more\n", more)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func side(amount money.Amount, state string) string {
	if amount == (money.Amount{}) {
		return "nothing"
	}
	if state == "" {
		return amount.Format()
	}
	return amount.Format() + " " + strconv.QuoteToGraphic(state)
}

func decimal(amount money.Amount) string {
	if amount == (money.Amount{}) {
		return ""
	}
	number, _, _ := strings.Cut(amount.Format(), " ")
	return number
}

func number(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

// text is what somebody else chose; a spreadsheet shall not take it for a
// formula.
func text(s string) string {
	if s != "" && strings.ContainsRune("=+-@\t\r", rune(s[0])) {
		return "'" + s
	}
	return s
}
