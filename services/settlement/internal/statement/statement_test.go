package statement

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/backlot-video/backlot/kit/money"
	"github.com/backlot-video/backlot/services/settlement/internal/ledger"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

func account(t *testing.T, purpose ledger.Purpose, owner, currency string) ledger.Account {
	t.Helper()
	a, err := ledger.NewAccount("a", purpose, owner, currency)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestBalancesAreOnTheNormalSide(t *testing.T) {
	sums := Sums{Debits: 100, Credits: 30}
	wallet, err1 := Balance(account(t, ledger.Wallet, "ann", "USD"), sums)
	clearing, err2 := Balance(account(t, ledger.Clearing, "", "USD"), sums)
	if wallet.Minor != -70 || clearing.Minor != 70 || errors.Join(err1, err2) != nil {
		t.Errorf("wallet %v, clearing %v, %v, %v", wallet, clearing, err1, err2)
	}
}

func TestStatementIsWrittenAsCSV(t *testing.T) {
	a := account(t, ledger.Wallet, "ann", "KWD")
	lines, err := Lines(a, money.Amount{Minor: 5, Currency: "KWD"}, []Entry{
		{PostedAt: noon, Sequence: 1, TransferID: "t1", Type: ledger.TopUp, Reference: "=cmd()", Side: ledger.Credit, Amount: 10_000},
		{PostedAt: noon.Add(time.Microsecond), Sequence: 2, TransferID: "t2", Type: ledger.Sale, Reference: "a,\"b\"", Side: ledger.Debit, Amount: 1},
	})
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	err = WriteCSV(&b, Statement{
		Account: a, From: noon, To: noon.Add(time.Hour), Lines: lines,
		Opening: money.Amount{Minor: 5, Currency: "KWD"}, Closing: money.Amount{Minor: 10_004, Currency: "KWD"},
	})
	want := `posted_at,type,reference,transfer_id,sequence,amount,balance,currency
2026-01-02T12:00:00.000000Z,opening,,,,,0.005,KWD
2026-01-02T12:00:00.000000Z,top_up,'=cmd(),t1,1,10.000,10.005,KWD
2026-01-02T12:00:00.000001Z,sale,"a,""b""",t2,2,-0.001,10.004,KWD
2026-01-02T13:00:00.000000Z,closing,,,,,10.004,KWD
`
	if err != nil || b.String() != want {
		t.Errorf("got %s, %v, want %s", b.String(), err, want)
	}
}

func TestOverflowIsRefused(t *testing.T) {
	a := account(t, ledger.Wallet, "ann", "USD")
	_, err := Lines(a, money.Amount{Minor: math.MaxInt64, Currency: "USD"}, []Entry{{Side: ledger.Credit, Amount: 1}})
	if !errors.Is(err, money.ErrOverflow) {
		t.Errorf("got %v, want ErrOverflow", err)
	}
}
