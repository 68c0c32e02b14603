package reconcile

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/backlot-video/backlot/kit/money"
)

func usd(minor int64) money.Amount { return money.Amount{Minor: minor, Currency: "USD"} }

func nothing(string) (Entry, bool, error) { return Entry{}, false, nil }

func posted(reference string, amount money.Amount) Entry {
	return Entry{Reference: reference, TransferID: "t-" + reference, Amount: amount, State: "posted", Moved: true}
}

const file = `reference,amount,currency,state
same,5.00,USD,settled
same,5.00,USD,settled
more,5.01,USD,settled
euros,5.00,EUR,settled
unknown,7.00,USD,settled
refused,7.00,USD,failed
void,5.00,USD,failed
paid-void,5.00,USD,settled
unpaid,5.00,USD,failed
open,5.00,USD,settled
earlier,5.00,USD,settled
out,-3.00,USD,settled
=evil,1.00,USD,settled
`

// compared is the comparison that most of this file's tests look at.
func compared(t *testing.T) Report {
	t.Helper()
	c := NewComparison(func(reference string) (Entry, bool, error) {
		return posted(reference, usd(500)), reference == "earlier", nil
	})
	void := Entry{Amount: usd(500), State: "voided"}
	for reference, entry := range map[string]Entry{
		"same": posted("", usd(500)), "more": posted("", usd(500)), "euros": posted("", usd(500)),
		"void": void, "paid-void": void, "unpaid": posted("", usd(500)), "open": {Amount: usd(500), State: "pending"},
		"out": posted("", usd(-300)), "lacking": posted("", usd(42)), "lacking too": posted("", usd(43)), "void too": void,
	} {
		entry.Reference, entry.TransferID = reference, "t-"+reference
		if err := c.Expect(entry); err != nil {
			t.Fatal(err)
		}
	}
	report, err := c.Compare(strings.NewReader(file), Mapping{})
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func TestEveryKindOfDifferenceIsFound(t *testing.T) {
	report := compared(t)
	var got []string
	for _, d := range report.Differences {
		got = append(got, fmt.Sprintf("%v %s %d", d.Kind, d.Reference, d.Line))
	}
	want := "duplicate same 3, amount more 4, currency euros 5, missing_here unknown 6, state paid-void 9, state unpaid 10, " +
		"state open 11, missing_here =evil 14, missing_there lacking 0, missing_there lacking too 0"
	if strings.Join(got, ", ") != want {
		t.Errorf("got %s, want %s", strings.Join(got, ", "), want)
	}
	if report.Rows != 13 || report.Matched != 5 || report.Found != 10 {
		t.Errorf("%d rows, %d matched, %d found", report.Rows, report.Matched, report.Found)
	}
	totals := fmt.Sprint(report.Totals)
	if totals != "[{0.00 EUR 5.00 EUR 0 1} {17.85 USD 35.01 USD 7 9}]" {
		t.Errorf("totals %s", totals)
	}
}

func TestReportIsWrittenAsCSVAndText(t *testing.T) {
	report := compared(t)
	report.Differences = append(report.Differences[:2:2], report.Differences[7], report.Differences[8])
	var table, words strings.Builder
	if err := WriteCSV(&table, report.Differences); err != nil {
		t.Fatal(err)
	}
	wantTable := `kind,reference,line,ours,theirs,currency_ours,currency_theirs,our_state,their_state,transfer_id
duplicate,same,3,5.00,5.00,USD,USD,posted,settled,t-same
amount,more,4,5.00,5.01,USD,USD,posted,settled,t-more
missing_here,'=evil,14,,1.00,,USD,,settled,
missing_there,lacking,,0.42,,USD,,posted,,t-lacking
`
	if table.String() != wantTable {
		t.Errorf("got %s, want %s", table.String(), wantTable)
	}
	if err := WriteText(&words, report); err != nil {
		t.Fatal(err)
	}
	wantWords := `rows 13, agree 5, differences 10
  ours 0.00 EUR in 0, theirs 5.00 EUR in 1
  ours 17.85 USD in 7, theirs 35.01 USD in 9
duplicate     "same" (line 3): ours 5.00 USD "posted", theirs 5.00 USD "settled"
amount        "more" (line 4): ours 5.00 USD "posted", theirs 5.01 USD "settled"
missing_here  "=evil" (line 14): ours nothing, theirs 1.00 USD "settled"
missing_there "lacking" (not in the file): ours 0.42 USD "posted", theirs nothing
and 6 more
`
	if words.String() != wantWords {
		t.Errorf("got %s, want %s", words.String(), wantWords)
	}
}

func TestFaultsEndAComparison(t *testing.T) {
	fault := errors.New("down")
	c := NewComparison(func(string) (Entry, bool, error) { return Entry{}, false, fault })
	if _, err := c.Compare(strings.NewReader(file), Mapping{}); !errors.Is(err, fault) {
		t.Errorf("got %v", err)
	}
	if _, err := NewComparison(nothing).Compare(strings.NewReader("reference,amount,currency\nx,y,z\n"), Mapping{}); !errors.Is(err, ErrFile) {
		t.Errorf("got %v", err)
	}
	big := "reference,amount,currency\na,92233720368547758.07,USD\nb,0.01,USD\n"
	if _, err := NewComparison(nothing).Compare(strings.NewReader(big), Mapping{}); !errors.Is(err, money.ErrOverflow) {
		t.Errorf("got %v", err)
	}
}

// TestWhatWeWroteOurselvesAgrees exports drawn payments as a file, which must
// match, and then changes one row, which must be found.
func TestWhatWeWroteOurselvesAgrees(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 20).Draw(t, "payments")
		currencies := []string{"USD", "JPY", "KWD", "CLF"}
		var lines []string
		entries := make([]Entry, n)
		for i := range entries {
			amount := money.Amount{Minor: rapid.Int64Range(-1<<50, 1<<50).Draw(t, "minor"), Currency: rapid.SampledFrom(currencies).Draw(t, "currency")}
			entries[i] = posted(fmt.Sprint("p", i), amount)
			lines = append(lines, fmt.Sprintf("p%d,%s,%s", i, decimal(amount), amount.Currency))
		}
		run := func(lines []string) Report {
			c := NewComparison(nothing)
			for _, entry := range entries {
				if err := c.Expect(entry); err != nil {
					t.Fatal(err)
				}
			}
			report, err := c.Compare(strings.NewReader("reference,amount,currency\n"+strings.Join(lines, "\n")), Mapping{})
			if err != nil {
				t.Fatal(err)
			}
			return report
		}
		if report := run(lines); report.Found != 0 || report.Matched != int64(n) {
			t.Fatalf("%+v", report)
		}
		at := rapid.IntRange(0, n-1).Draw(t, "changed")
		lines[at] = fmt.Sprintf("p%d,%s,%s", at, decimal(money.Amount{Minor: entries[at].Amount.Minor + 1, Currency: entries[at].Amount.Currency}), entries[at].Amount.Currency)
		report := run(lines)
		if report.Found != 1 || report.Differences[0].Kind != AmountDiffers || report.Differences[0].Line != at+2 {
			t.Fatalf("%+v", report)
		}
	})
}
