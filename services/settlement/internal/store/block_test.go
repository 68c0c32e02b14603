package store

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/backlot-video/backlot/kit/money"
	"github.com/backlot-video/backlot/services/settlement/internal/ledger"
	settlementdb "github.com/backlot-video/backlot/sql/gen/settlement"
)

const blockLedger = 3

// asNumber is for accounts whose ids are their numbers.
func asNumber(id string) int64 {
	n, err := strconv.ParseInt(id, 10, 64)
	if err != nil {
		panic(err)
	}
	return n
}

// asAdded gives what was read as it was before it was packed.
func asAdded(all []stored) []*ledger.Transfer {
	transfers := make([]*ledger.Transfer, len(all))
	for i := range all {
		for j, l := range all[i].lines {
			all[i].Postings[j].AccountID = strconv.FormatInt(l.number, 10)
		}
		transfers[i] = &all[i].Transfer
	}
	return transfers
}

// posted is a transfer that was booked at a time.
func posted(n int, at time.Time) *ledger.Transfer {
	amount := money.Amount{Minor: int64(n)*1_000_003 + 1, Currency: "USD"}
	t := &ledger.Transfer{
		ID: fmt.Sprintf("0190f0e0-%04x-7abc-8def-0123456789ab", n), TenantID: "main", Currency: "USD", Type: ledger.TopUp, State: ledger.Posted,
		IdempotencyKey: fmt.Sprint("key-", n), CreatedAt: at, EndedAt: at, Sequence: int64(n) + 5,
		Postings: []ledger.Posting{
			{AccountID: "12884901889", Side: ledger.Debit, Amount: amount}, {AccountID: "12884901999", Side: ledger.Credit, Amount: amount},
		},
	}
	t.Hash[n%hashSize] = byte(n)
	if n%3 == 0 {
		t.Type, t.Reference, t.XID, t.SplitPolicy = ledger.Sale, fmt.Sprint("order-", n/6), "x", "default@2"
	}
	return t
}

// movesOf are the moves of a transfer, without sums.
func movesOf(t *ledger.Transfer) (moves []ledger.Move) {
	for i := range t.Postings {
		moves = append(moves, ledger.Move{Account: asNumber(t.Postings[i].AccountID), Sequence: t.Sequence})
	}
	return moves
}

// packed packs transfers of a batch.
func packed(at time.Time, added ...*ledger.Transfer) *written {
	w := &written{Changes: ledger.Changes{Added: added}, at: at}
	for _, t := range added {
		if t.State == ledger.Posted {
			w.Moves = append(w.Moves, movesOf(t)...)
		}
	}
	w.divide(asNumber)
	w.prepare(Ledger{Number: blockLedger})
	return w
}

func rowOf(b block, at time.Time) settlementdb.BlocksAfterRow {
	return settlementdb.BlocksAfterRow{
		Ledger: blockLedger, Sequence: b.sequence, LastID: b.lastID, At: at.UnixMicro(), Transfers: b.transfers, TenantID: "main", Currency: "USD",
	}
}

func TestBatchIsPackedInBlocksAndRows(t *testing.T) {
	at := time.Unix(1000, 0).UTC()
	var added []*ledger.Transfer
	for n := range 2*maxBlock + 10 {
		added = append(added, posted(n, at))
	}
	alone := map[int]func(t *ledger.Transfer){
		3: func(t *ledger.Transfer) { t.State, t.Sequence, t.EndedAt = ledger.Pending, 0, time.Time{} },
		4: func(t *ledger.Transfer) { t.Pended = true },
		5: func(t *ledger.Transfer) { t.ChainID = t.ID },
		6: func(t *ledger.Transfer) { t.ExpiresAt = at.Add(time.Hour) },
		7: func(t *ledger.Transfer) { t.ID = "no-uuid" },
		8: func(t *ledger.Transfer) { t.ID = added[1].ID },
		9: func(t *ledger.Transfer) { t.CreatedAt = at.Add(-time.Second) },
	}
	for n, change := range alone {
		change(added[n])
	}
	w := packed(at, added...)
	if len(w.rows) != len(alone) || len(w.postings) != len(alone) || len(w.blocks) != 3 {
		t.Fatalf("%d rows, %d postings and %d blocks", len(w.rows), len(w.postings), len(w.blocks))
	}
	var read []stored
	for _, b := range w.blocks {
		all, err := unpack(rowOf(b, at))
		if err != nil || len(all) > maxBlock {
			t.Fatalf("%d transfers, %v", len(all), err)
		}
		read = append(read, all...)
	}
	references := 0
	for n, one := range added {
		if alone[n] != nil {
			if w.places[n] != 0 {
				t.Errorf("transfer %d has place %d", n, w.places[n])
			}
			continue
		}
		if one.Reference != "" {
			references++
		}
		if len(read) == 0 || w.places[n] != one.Sequence {
			t.Fatalf("transfer %d is not there", n)
		}
		if got := asAdded(read[:1])[0]; fmt.Sprint(got) != fmt.Sprint(one) {
			t.Errorf("%v reads as %v", one, got)
		}
		read = read[1:]
	}
	if len(read) > 0 || len(w.referenced) != references {
		t.Errorf("%d too many, %d of %d references", len(read), len(w.referenced), references)
	}
}

func TestBlockThatIsNotWholeIsRefused(t *testing.T) {
	at := time.Unix(1000, 0).UTC()
	whole := rowOf(packed(at, posted(0, at), posted(1, at)).blocks[0], at)
	if _, err := unpack(whole); err != nil {
		t.Fatal(err)
	}
	for n := range whole.Transfers {
		cut := whole
		cut.Transfers = whole.Transfers[:n]
		if _, err := unpack(cut); err == nil {
			t.Errorf("reads without the last %d bytes", len(whole.Transfers)-n)
		}
	}
	var tooMany []*ledger.Transfer
	for n := range maxBlock {
		tooMany = append(tooMany, posted(n, at))
	}
	full := packed(at, tooMany...).blocks[0]
	more, last := posted(maxBlock, at), tooMany[maxBlock-1]
	full = block{more.Sequence, more.ID, appendPacked(full.transfers, more, last, blockLedger<<32, movesOf(more))}
	if _, err := unpack(rowOf(full, at)); err == nil || !strings.Contains(err.Error(), "more than") {
		t.Errorf("a block of %d transfers: %v", maxBlock+1, err)
	}
}

func TestIDsAreThoseOfUUIDs(t *testing.T) {
	for id, want := range map[string]bool{
		"0190f0e0-0000-7abc-8def-0123456789ab":  true,
		"ffffffff-ffff-ffff-ffff-ffffffffffff":  true,
		"0190F0E0-0000-7abc-8def-0123456789ab":  false,
		"0190f0e00-000-7abc-8def-0123456789ab":  false,
		"0190f0e0-0000-7abc-8def-0123456789a":   false,
		"0190f0e0-0000-7abc-8def-0123456789ab0": false,
		"0190f0e0-0000-7abc-8def-0123456789ag":  false,
		"":                                      false,
	} {
		if isID(id) != want {
			t.Errorf("%q is an id: %v", id, !want)
		}
		if want && formatID([idSize]byte(appendID(nil, id))) != id {
			t.Errorf("%q does not read as itself", id)
		}
	}
}

// FuzzUnpack: what reads is what is written of it.
func FuzzUnpack(f *testing.F) {
	at := time.Unix(1000, 0).UTC()
	for _, n := range []int{1, 2, 7} {
		var all []*ledger.Transfer
		for i := range n {
			all = append(all, posted(i, at))
		}
		b := packed(at, all...).blocks[0]
		f.Add(b.sequence, b.lastID, b.transfers)
	}
	f.Add(int64(1), "", []byte{blockFormat})
	f.Fuzz(func(t *testing.T, sequence int64, lastID string, raw []byte) {
		all, err := unpack(rowOf(block{sequence, lastID, raw}, at))
		if err != nil {
			return
		}
		again := []byte{blockFormat}
		last := &ledger.Transfer{}
		for _, one := range asAdded(all) {
			again = appendPacked(again, one, last, blockLedger<<32, movesOf(one))
			last = one
		}
		if !bytes.Equal(again, raw) {
			t.Fatalf("%x reads as %v, which is %x", raw, all, again)
		}
	})
}
