package engine_test

import (
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/backlot-video/backlot/services/settlement/internal/ledger"
	"github.com/backlot-video/backlot/services/settlement/internal/statement"
	"github.com/backlot-video/backlot/services/settlement/internal/store"
)

func TestStatementAddsUpOnEveryPageAndOfEveryTime(t *testing.T) {
	suite(t, func(f *fixture) {
		for i := range 5 {
			f.fund("ann", usd(int64(100+i)), fmt.Sprint("top", i))
		}
		if _, err := f.pend(f.sale("ann", usd(10)), "open"); err != nil { // pending: in no statement
			f.t.Fatal(err)
		}
		account, _, err := f.Account(f.t.Context(), "main", "ann", ledger.Wallet, "USD")
		if err != nil {
			f.t.Fatal(err)
		}
		at := f.Now()
		var seen []statement.Line
		for after, more := (statement.Place{}), true; more; {
			page, err := f.Statement(f.t.Context(), account, at, at.Add(time.Second), after, 2)
			if err != nil || page.Opening != usd(0) || page.Closing != usd(510) {
				f.t.Fatalf("page %+v, %v", page, err)
			}
			seen = append(seen, page.Lines...)
			last := seen[len(seen)-1]
			after, more = statement.Place{PostedAt: last.PostedAt, Sequence: last.Sequence}, page.More
		}
		balance := int64(0)
		for i, line := range seen {
			balance += int64(100 + i)
			if line.Amount != usd(int64(100+i)) || line.Balance != usd(balance) || line.Sequence != int64(i+1) {
				f.t.Errorf("line %d is %+v", i, line)
			}
		}
		if len(seen) != 5 {
			f.t.Errorf("%d lines", len(seen))
		}
		for _, c := range []struct {
			from, to         time.Time
			opening, closing int64
		}{
			{time.UnixMicro(0), at, 0, 0},
			{at.Add(time.Millisecond), at.Add(time.Hour), 510, 510},
			{time.UnixMicro(0), at.Add(time.Millisecond), 0, 510},
		} {
			s, err := f.Statement(f.t.Context(), account, c.from, c.to, statement.Place{}, 10)
			if err != nil || s.Opening != usd(c.opening) || s.Closing != usd(c.closing) {
				f.t.Errorf("%v to %v: %v to %v, %v", c.from, c.to, s.Opening, s.Closing, err)
			}
		}
		if sums, err := f.PostedAt(f.t.Context(), account, time.UnixMicro(math.MaxInt64)); err != nil || sums.Credits != 510 || sums.Debits != 0 {
			f.t.Errorf("sums %+v, %v", sums, err)
		}
		if _, err := f.AccountByID(f.t.Context(), "other", account.ID); !errors.Is(err, store.ErrNotFound) {
			f.t.Errorf("another tenant: %v", err)
		}
	})
}
