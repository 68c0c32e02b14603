package api

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/backlot-video/backlot/kit/database"
	"github.com/backlot-video/backlot/kit/database/databasetest"
	"github.com/backlot-video/backlot/kit/money"
	"github.com/backlot-video/backlot/kit/mq"
	settlementv1 "github.com/backlot-video/backlot/proto/gen/backlot/settlement/v1"
	"github.com/backlot-video/backlot/services/settlement/internal/engine"
	"github.com/backlot-video/backlot/services/settlement/internal/ledger"
	"github.com/backlot-video/backlot/services/settlement/internal/store"
	kitdb "github.com/backlot-video/backlot/sql/gen/kit"
)

// TestShortFactsAreTheWholeOnes books whatever there is, and compares each fact, as
// it is published, with the encoding of the transfers that it was made of.
func TestShortFactsAreTheWholeOnes(t *testing.T) {
	databasetest.Each(t, "settlement", func(t *testing.T, db *database.DB) {
		s := store.New(db)
		outbox := mq.NewOutbox(mq.OutboxConfig{Service: "settlement", DB: db, Expand: Expand(s)})
		tell := Tell(outbox)
		var mu sync.Mutex
		want, shorts := map[string][]byte{}, 0 // by id of the fact
		e := engine.New(s, engine.Config{Tell: func(
			ctx context.Context, tenantID, currency string, at time.Time, posted store.Posted,
		) ([]store.Fact, error) {
			facts, err := tell(ctx, tenantID, currency, at, posted)
			whole, fault := Tell(outbox)(ctx, tenantID, currency, at, store.Posted{Transfers: posted.Transfers})
			if err != nil || fault != nil || len(facts) != len(whole) {
				t.Errorf("%d and %d facts, %v, %v", len(facts), len(whole), err, fault)
				return facts, err
			}
			mu.Lock()
			defer mu.Unlock()
			for i := range facts {
				envelope, _, err := outbox.Decode(ctx, whole[i].Envelope)
				if err != nil {
					t.Error(err)
				}
				want[facts[i].ID] = envelope.GetData().GetValue()
				if len(facts[i].Envelope) < 300 {
					shorts++
				}
			}
			return facts, nil
		}})
		t.Cleanup(e.Close)
		random := rand.New(rand.NewPCG(1, 2))
		openPurses(t, e)
		for call := range 24 {
			for _, r := range e.Book(t.Context(), "main", mixed(random, call)) {
				if r.Err != nil {
					t.Fatal(r.Err)
				}
			}
		}
		rows, err := kitdb.New(db.Read()).ListUnsent(t.Context(), 1000)
		if err != nil {
			t.Fatal(err)
		}
		last := int64(0)
		for _, row := range rows {
			envelope, encoded, err := outbox.Decode(t.Context(), row.Envelope)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(envelope.GetData().GetValue(), want[row.ID]) || !bytes.Contains(encoded, want[row.ID]) {
				t.Errorf("fact %s is published as another one: %v", row.ID, envelope)
			}
			var fact settlementv1.TransfersPosted
			if err := envelope.GetData().UnmarshalTo(&fact); err != nil || envelope.GetSequence() != row.Sequence {
				t.Error(envelope.GetSequence(), err)
			}
			for _, one := range fact.GetTransfers() {
				if one.GetSequence() != last+1 {
					t.Errorf("%d is told of after %d", one.GetSequence(), last)
				}
				last = one.GetSequence()
			}
		}
		if len(rows) != len(want) || shorts == 0 || shorts == len(want) {
			t.Errorf("%d facts, %d told of, %d of them short", len(rows), len(want), shorts)
		}
		forged, err := proto.Marshal(&settlementv1.TransfersPostedAt{Ledger: 1, FirstSequence: last, LastSequence: last + 1})
		if err != nil {
			t.Fatal(err)
		}
		envelope, _, err := outbox.Decode(t.Context(), rows[0].Envelope)
		if err != nil {
			t.Fatal(err)
		}
		envelope.Data.TypeUrl, envelope.Data.Value = "type.googleapis.com/backlot.settlement.v1.TransfersPostedAt", forged
		if err := Expand(s)(t.Context(), envelope); err == nil {
			t.Error("a fact of a transfer that is not there is made whole")
		}
	})
}

const pursesOpened = 6

func openPurses(t *testing.T, e *engine.Engine) {
	t.Helper()
	var specs []ledger.AccountSpec
	for n := range pursesOpened {
		specs = append(specs, ledger.AccountSpec{
			ID: fmt.Sprint("purse-", n), Purpose: "purse", OwnerID: fmt.Sprint("owner ", n), Currency: "USD", NormalSide: ledger.Credit, Overdraft: true,
		})
	}
	for _, r := range e.Open(t.Context(), "main", specs) {
		if r.Err != nil {
			t.Fatal(r.Err)
		}
	}
}

// mixed are requests of one call: few or more than a block holds, with texts or
// without, in one of three calls also linked ones and pending ones that are posted.
func mixed(random *rand.Rand, call int) (requests []ledger.Request) {
	amount := func(minor int) money.Amount { return money.Amount{Minor: int64(minor), Currency: "USD"} }
	draft := func(n int) ledger.Draft {
		from := random.IntN(pursesOpened)
		d := ledger.Draft{TenantID: "main", Currency: "USD", Type: "payment", IdempotencyKey: fmt.Sprintf("key %d/%d", call, n)}
		if random.IntN(2) == 0 {
			d.Reference, d.XID, d.SplitPolicy = fmt.Sprint("order ", n/3), fmt.Sprint("xid ", n), "default"
		}
		legs, total := 1+random.IntN(3), 0
		for leg := range legs {
			minor := 1 + random.IntN(1000)
			total += minor
			d.Lines = append(d.Lines, ledger.Line{AccountID: fmt.Sprint("purse-", (from+1+leg)%pursesOpened), Side: ledger.Credit, Amount: amount(minor)})
		}
		d.Lines = append(d.Lines, ledger.Line{AccountID: fmt.Sprint("purse-", from), Side: ledger.Debit, Amount: amount(total)})
		return d
	}
	count := []int{1, leastShort - 1, leastShort, 40, 300, 700}[random.IntN(6)]
	for n := range count {
		requests = append(requests, ledger.Request{Action: ledger.ActionBook, Draft: draft(n)})
	}
	if call%3 == 0 {
		requests = append(requests,
			ledger.Request{Action: ledger.ActionBook, Draft: draft(count), Linked: true},
			ledger.Request{Action: ledger.ActionBook, Draft: draft(count + 1)},
			ledger.Request{Action: ledger.ActionPend, Draft: draft(count + 2)},
			ledger.Request{Action: ledger.ActionPost, Target: ledger.Target{IdempotencyKey: fmt.Sprintf("key %d/%d", call, count+2)}})
	}
	return requests
}
