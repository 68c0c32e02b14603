package reconcile

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/backlot-video/backlot/kit/money"
)

const (
	// MaxEntries bounds what we have in the time that a file covers.
	MaxEntries = 1_000_000
	// MaxDifferences bounds the differences that a report keeps.
	MaxDifferences = 10_000
)

// ErrTooMany means more payments than MaxEntries.
var ErrTooMany = errors.New("too many payments in this time, choose a shorter one")

// Entry is a payment of ours.
type Entry struct {
	Reference  string
	TransferID string
	Amount     money.Amount // what came in; below zero what went out
	State      string       // pending, posted or voided
	Moved      bool         // whether it is posted
}

// Find looks up a payment of ours of whatever time.
type Find func(reference string) (Entry, bool, error)

// Comparison compares rows with what we have. It is for one goroutine.
type Comparison struct {
	find   Find
	ours   map[string]Entry // of the file's time, and what was found beside
	seen   map[string]bool  // references of rows
	totals map[string]*Total
	report Report
}

// NewComparison starts one. find is asked for references that were not
// expected.
func NewComparison(find Find) *Comparison {
	return &Comparison{
		find: find, ours: map[string]Entry{}, seen: map[string]bool{}, totals: map[string]*Total{},
	}
}

// Expect adds a payment of ours of the time that the file covers.
func (c *Comparison) Expect(entry Entry) error {
	if len(c.ours) >= MaxEntries {
		return ErrTooMany
	}
	c.ours[entry.Reference] = entry
	if !entry.Moved {
		return nil
	}
	total := c.total(entry.Amount.Currency)
	total.OurCount++
	return add(&total.Ours, entry.Amount)
}

// Row compares a row of the file.
func (c *Comparison) Row(row Row) error {
	c.report.Rows++
	if row.Moved {
		total := c.total(row.Amount.Currency)
		total.TheirCount++
		if err := add(&total.Theirs, row.Amount); err != nil {
			return fmt.Errorf("line %d: %w", row.Line, err)
		}
	}
	difference := Difference{Reference: row.Reference, Line: row.Line, Theirs: row.Amount, TheirState: row.State}
	entry, found := c.ours[row.Reference]
	if !found {
		var err error
		if entry, found, err = c.find(row.Reference); err != nil {
			return err
		}
	}
	if found {
		difference.Ours, difference.OurState, difference.TransferID = entry.Amount, entry.State, entry.TransferID
	}
	difference.Kind = c.judge(row, entry, found)
	c.seen[row.Reference] = true
	if difference.Kind == 0 {
		c.report.Matched++
		return nil
	}
	c.keep(difference)
	return nil
}

// judge is 0 where a row agrees.
func (c *Comparison) judge(row Row, entry Entry, found bool) Kind {
	switch {
	case c.seen[row.Reference]:
		return Duplicate
	case !found && !row.Moved:
		return 0 // they refused what we never booked
	case !found:
		return MissingHere
	case row.Moved != entry.Moved || entry.State == pending:
		return StateDiffers
	case !row.Moved:
		return 0 // neither moved anything
	case row.Amount.Currency != entry.Amount.Currency:
		return CurrencyDiffers
	case row.Amount.Minor != entry.Amount.Minor:
		return AmountDiffers
	default:
		return 0
	}
}

const pending = "pending"

// Finish adds what the file lacks and returns the report. Differences are in
// the order of the file, what it lacks comes last by reference.
func (c *Comparison) Finish() Report {
	var missing []Entry
	for _, entry := range c.ours {
		if entry.Moved && !c.seen[entry.Reference] {
			missing = append(missing, entry)
		}
	}
	slices.SortFunc(missing, func(a, b Entry) int { return cmp.Compare(a.Reference, b.Reference) })
	for _, entry := range missing {
		c.keep(Difference{
			Kind: MissingThere, Reference: entry.Reference, Ours: entry.Amount, OurState: entry.State, TransferID: entry.TransferID,
		})
	}
	for _, total := range c.totals {
		c.report.Totals = append(c.report.Totals, *total)
	}
	slices.SortFunc(c.report.Totals, func(a, b Total) int { return cmp.Compare(a.Ours.Currency, b.Ours.Currency) })
	return c.report
}

func (c *Comparison) keep(difference Difference) {
	c.report.Found++
	if len(c.report.Differences) < MaxDifferences {
		c.report.Differences = append(c.report.Differences, difference)
	}
}

func (c *Comparison) total(currency string) *Total {
	total, found := c.totals[currency]
	if !found {
		zero := money.Amount{Currency: currency}
		total = &Total{Ours: zero, Theirs: zero}
		c.totals[currency] = total
	}
	return total
}

func add(sum *money.Amount, amount money.Amount) (err error) {
	*sum, err = sum.Add(amount)
	return err
}

// Compare compares a whole file. What is expected must have been added.
func (c *Comparison) Compare(file io.Reader, mapping Mapping) (Report, error) {
	rows, err := NewReader(file, mapping)
	if err != nil {
		return Report{}, err
	}
	for {
		row, err := rows.Next()
		if errors.Is(err, io.EOF) {
			return c.Finish(), nil
		}
		if err != nil {
			return Report{}, err
		}
		if err := c.Row(row); err != nil {
			return Report{}, err
		}
	}
}
