package api

import (
	"bytes"
	"math"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/backlot-video/backlot/kit/money"
	settlementv1 "github.com/backlot-video/backlot/proto/gen/backlot/settlement/v1"
	"github.com/backlot-video/backlot/services/settlement/internal/ledger"
)

// TestFactsAreWrittenAsProtoWouldWriteThem compares bytes, so a field that the
// contract gets and wire.go lacks is found as soon as transferMessage has it.
func TestFactsAreWrittenAsProtoWouldWriteThem(t *testing.T) {
	long := strings.Repeat("\u00e9", 100)
	at := time.UnixMicro(1_800_000_000_123_456).UTC()
	posting := func(id string, side ledger.Side, minor int64, of string) ledger.Posting {
		return ledger.Posting{AccountID: id, Side: side, Amount: money.Amount{Minor: minor, Currency: "USD"}, Purpose: ledger.Purpose(of), OwnerID: of}
	}
	many := make([]ledger.Posting, ledger.MaxPostings)
	for i := range many {
		many[i] = posting(long, ledger.Credit, int64(i+1), long)
	}
	transfers := []*ledger.Transfer{
		{},
		{
			ID: "t-1", TenantID: "main", Currency: "USD", Type: ledger.Sale, State: ledger.Posted, Reference: "order", XID: "xid", IdempotencyKey: "key",
			SplitPolicy: "default@3", CreatedAt: at, EndedAt: at.Add(time.Second), ChainID: "t-0", Pended: true, ExpiresAt: at.Add(time.Hour),
			Sequence: 300, Hash: [32]byte{1, 2, 3}, Postings: []ledger.Posting{
				posting("a", ledger.Debit, 499, ""), posting("b", ledger.Credit, math.MaxInt64, "wallet"), {},
			},
		},
		{ID: long, State: ledger.Pending, Postings: many, Sequence: math.MaxInt64},
		{ID: "t-3", State: ledger.Voided, EndedAt: at},
	}
	for first := range transfers {
		want := &settlementv1.TransfersPosted{}
		for _, one := range transfers[first:] {
			want.Transfers = append(want.Transfers, transferMessage(one))
		}
		raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		if got := appendTransfersPosted([]byte("x"), transfers[first:]); !bytes.Equal(got[1:], raw) {
			t.Errorf("from %d on it is\n%x, want\n%x", first, got[1:], raw)
		}
	}
	if packed, err := anypb.New(&settlementv1.TransfersPosted{}); err != nil || packed.GetTypeUrl() != transfersPostedURL {
		t.Errorf("its name is %s, %v", packed.GetTypeUrl(), err)
	}
}
