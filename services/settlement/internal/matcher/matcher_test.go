package matcher_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"google.golang.org/protobuf/proto"

	"github.com/backlot-video/backlot/kit/database"
	"github.com/backlot-video/backlot/kit/database/databasetest"
	"github.com/backlot-video/backlot/kit/mq"
	coordinatorv1 "github.com/backlot-video/backlot/proto/gen/backlot/coordinator/v1"
	eventv1 "github.com/backlot-video/backlot/proto/gen/backlot/event/v1"
	moneyv1 "github.com/backlot-video/backlot/proto/gen/backlot/money/v1"
	settlementv1 "github.com/backlot-video/backlot/proto/gen/backlot/settlement/v1"
	storefrontv1 "github.com/backlot-video/backlot/proto/gen/backlot/storefront/v1"
	"github.com/backlot-video/backlot/services/settlement/internal/match"
	"github.com/backlot-video/backlot/services/settlement/internal/matcher"
	"github.com/backlot-video/backlot/services/settlement/internal/store"
)

type fixture struct {
	*matcher.Matcher
	t        *testing.T
	matches  *store.Matches
	registry *prometheus.Registry
	log      bytes.Buffer

	mu   sync.Mutex
	now  time.Time
	told []*settlementv1.Difference
}

func suite(t *testing.T, test func(f *fixture)) {
	databasetest.Each(t, "settlement", func(t *testing.T, db *database.DB) {
		f := &fixture{
			t: t, matches: store.NewMatches(db), registry: prometheus.NewRegistry(),
			now: time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC),
		}
		f.Matcher = matcher.New(matcher.Config{
			Matches: f.matches, Clock: f.clock, Log: slog.New(slog.NewTextHandler(&f.log, nil)), Registerer: f.registry,
			Tell: func(ctx context.Context, _ *sql.Tx, envelope *eventv1.Envelope) error {
				fact := new(settlementv1.DifferenceFound)
				if err := envelope.GetData().UnmarshalTo(fact); err != nil {
					return err
				}
				if envelope.GetType() != matcher.DifferenceFound || envelope.GetKey() != fact.GetDifference().GetXid() {
					t.Errorf("told %v", envelope)
				}
				database.AfterCommit(ctx, func() { f.told = append(f.told, fact.GetDifference()) })
				return nil
			},
		})
		test(f)
	})
}

func (f *fixture) clock() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now
}

func (f *fixture) pass(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now = f.now.Add(d)
}

func (f *fixture) tell(factType string, fact proto.Message) *eventv1.Envelope {
	f.t.Helper()
	envelope, err := mq.NewEnvelope("main", factType, "key", fact)
	if err != nil {
		f.t.Fatal(err)
	}
	envelope.Id, envelope.OccurredAt = uuid.NewString(), f.clock().UnixMicro()
	for range 2 { // facts come at least once
		if err := f.Handle(f.t.Context(), envelope); err != nil {
			f.t.Fatal(err)
		}
	}
	return envelope
}

func (f *fixture) paid(xid string, minor int64) {
	f.tell("backlot.storefront.order_paid.v1", &storefrontv1.OrderPaid{
		OrderId: "order-" + xid, Xid: xid, Price: &moneyv1.Money{Minor: minor, Currency: "USD"},
	})
}

func (f *fixture) ended(xid string, state coordinatorv1.TransactionState) {
	f.tell("backlot.coordinator.transaction_ended.v1", &coordinatorv1.TransactionEnded{Xid: xid, State: state})
}

func (f *fixture) posted(xid string, minor int64) {
	posting := func(side settlementv1.Side, amount int64) *settlementv1.Posting {
		return &settlementv1.Posting{Side: side, Amount: &moneyv1.Money{Minor: amount, Currency: "USD"}}
	}
	f.tell("backlot.settlement.transfers_posted.v1", &settlementv1.TransfersPosted{Transfers: []*settlementv1.Transfer{
		{Id: "before-" + xid, Type: "top_up"},
		{
			Id: "transfer-" + xid, Type: "sale", Xid: xid, Reference: "order-" + xid, Currency: "USD",
			Postings: []*settlementv1.Posting{posting(1, minor), posting(2, minor-1), posting(2, 1)},
		},
	}})
}

func (f *fixture) sweep() {
	f.t.Helper()
	if err := f.Sweep(f.t.Context()); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fixture) metrics(want string) {
	f.t.Helper()
	var text strings.Builder
	families, err := f.registry.Gather()
	if err != nil {
		f.t.Fatal(err)
	}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			value := metric.GetGauge().GetValue() + metric.GetCounter().GetValue()
			if value == 0 {
				continue
			}
			fmt.Fprintf(&text, "%s", strings.TrimPrefix(family.GetName(), "backlot_settlement_"))
			for _, label := range metric.GetLabel() {
				fmt.Fprintf(&text, "{%s}", label.GetValue())
			}
			fmt.Fprintf(&text, " %v\n", value)
		}
	}
	if text.String() != want {
		f.t.Errorf("metrics are\n%swant\n%s", text.String(), want)
	}
}

func TestDifferenceIsFoundAfterTheGraceTimeAndClosedWhenRepaired(t *testing.T) {
	suite(t, func(f *fixture) {
		f.paid("good", 500)
		f.ended("good", coordinatorv1.TransactionState_TRANSACTION_STATE_CONFIRMED)
		f.posted("good", 500)
		f.paid("lost", 500)
		f.ended("lost", coordinatorv1.TransactionState_TRANSACTION_STATE_CONFIRMED)
		f.posted("short", 400)
		f.paid("short", 500)
		f.ended("short", coordinatorv1.TransactionState_TRANSACTION_STATE_CONFIRMED)
		f.ended("foreign", coordinatorv1.TransactionState_TRANSACTION_STATE_CANCELLED)
		f.pass(9 * time.Second)
		f.sweep()
		if len(f.told) != 0 {
			f.t.Errorf("told of %v within the grace time", f.told)
		}
		f.metrics("matches_oldest_seconds 9\nmatches_waiting 3\n")
		f.pass(time.Second)
		f.sweep()
		f.sweep()
		if len(f.told) != 2 || fmt.Sprint(f.told[0].GetKinds(), f.told[1].GetKinds()) != "[transfer_missing] [amount_differs]" {
			f.t.Fatalf("told of %v", f.told)
		}
		f.metrics("differences_found_total{amount_differs} 1\ndifferences_found_total{transfer_missing} 1\ndifferences_open 2\n")
		if !strings.Contains(f.log.String(), "order, transaction and transfer do not agree") || !strings.Contains(f.log.String(), "xid=lost") {
			f.t.Errorf("log: %s", f.log.String())
		}
		f.pass(time.Minute)
		f.posted("lost", 500)
		f.sweep()
		f.metrics("differences_found_total{amount_differs} 1\ndifferences_found_total{transfer_missing} 1\ndifferences_open 1\ndifferences_repaired_total 1\n")
		if _, err := f.Close(f.t.Context(), store.MatchKey{TenantID: "main", XID: "short"}, "op", "paid by hand"); err != nil {
			f.t.Error(err)
		}
		for _, xid := range []string{"short", "good", "none"} {
			if _, err := f.Close(f.t.Context(), store.MatchKey{TenantID: "main", XID: xid}, "op", "again"); !errors.Is(err, matcher.ErrNoDifference) {
				f.t.Errorf("close %s: %v", xid, err)
			}
		}
		if _, err := f.matches.Get(f.t.Context(), store.MatchKey{TenantID: "main", XID: "none"}); !errors.Is(err, store.ErrNotFound) {
			f.t.Errorf("a match was made: %v", err)
		}
		f.listed()
	})
}

// listed checks the lists of what TestDifferenceIsFound… left.
func (f *fixture) listed() {
	f.t.Helper()
	open, err := f.matches.Differences(f.t.Context(), "main", store.DifferencePage{Limit: 10})
	if err != nil || len(open) != 0 {
		f.t.Errorf("open %v, %v", open, err)
	}
	var seen []string
	for page := (store.DifferencePage{Closed: true, Limit: 1}); ; {
		list, err := f.matches.Differences(f.t.Context(), "main", page)
		if err != nil {
			f.t.Fatal(err)
		}
		if len(list) == 0 {
			break
		}
		seen = append(seen, list[0].XID+"/"+list[0].ClosedBy)
		page.AfterTime, page.AfterXID = list[0].FoundAt, list[0].XID
	}
	if fmt.Sprint(seen) != "[lost/ short/op]" {
		f.t.Errorf("closed %v", seen)
	}
	purged, err := f.matches.Purge(f.t.Context(), f.clock().Add(time.Hour), f.clock().Add(-time.Hour), 10)
	if err != nil || purged != 2 { // good and foreign
		f.t.Errorf("purged %d, %v", purged, err)
	}
	purged, err = f.matches.Purge(f.t.Context(), f.clock(), f.clock().Add(time.Hour), 10)
	if err != nil || purged != 2 {
		f.t.Errorf("purged %d closed ones, %v", purged, err)
	}
}

func TestManyAreSweptInBatches(t *testing.T) {
	suite(t, func(f *fixture) {
		const many = 530 // more than are read at a time
		err := f.matches.Write(f.t.Context(), func(ctx context.Context, tx *sql.Tx) error {
			for i := range many {
				key := store.MatchKey{TenantID: "main", XID: fmt.Sprint(i)}
				_, err := f.matches.Update(ctx, tx, key, func(m *match.Match) { m.TransactionEnded(match.Confirmed, f.clock()) })
				if err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			f.t.Fatal(err)
		}
		f.pass(10 * time.Second)
		f.sweep()
		counts, err := f.matches.Counts(f.t.Context())
		if err != nil || counts != (store.Counts{}) || len(f.told) != 0 {
			f.t.Errorf("left %+v, %v, told of %d", counts, err, len(f.told))
		}
	})
}

func TestOtherFactsAreNotTaken(t *testing.T) {
	suite(t, func(f *fixture) {
		f.tell("backlot.settlement.transfer_posted.v1", &settlementv1.TransferPosted{Transfer: &settlementv1.Transfer{Type: "top_up", Id: "t"}})
		if n := testutil.CollectAndCount(f.registry, "backlot_settlement_matches_waiting"); n != 1 {
			f.t.Errorf("%d metrics", n)
		}
		if counts, err := f.matches.Counts(f.t.Context()); err != nil || counts.Waiting != 0 {
			f.t.Errorf("%+v, %v", counts, err)
		}
		odd, err := mq.NewEnvelope("main", "backlot.storefront.order_lost.v1", "key", &storefrontv1.OrderPaid{})
		if err != nil {
			f.t.Fatal(err)
		}
		if err := f.Handle(f.t.Context(), odd); !errors.Is(err, mq.ErrUnknownType) {
			f.t.Errorf("got %v, want ErrUnknownType", err)
		}
		odd.Type = "backlot.coordinator.transaction_ended.v1"
		if err := f.Handle(f.t.Context(), odd); err == nil {
			f.t.Error("a fact of another message was taken")
		}
	})
}
