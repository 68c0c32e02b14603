package engine_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/backlot-video/backlot/services/settlement/internal/ledger"
)

// model is a second bookkeeping, as simple as can be: it remembers transfers
// and adds them up whenever it is asked.
type model struct {
	transfers map[string]*modelTransfer // by idempotency key
	order     []string                  // of posting
}

type modelTransfer struct {
	request ledger.Request
	state   ledger.State
	chain   string // key of the first of those it is linked with
	number  int    // in the order of booking
	expires time.Time
	ended   time.Time
}

func (m *model) clone() *model {
	all := make(map[string]*modelTransfer, len(m.transfers))
	for key, t := range m.transfers {
		one := *t
		all[key] = &one
	}
	return &model{all, slices.Clone(m.order)}
}

// sums are debits and credits of an account by state, at a time.
func (m *model) sums(account string, at time.Time) (debits, credits map[ledger.State]int64) {
	debits, credits = map[ledger.State]int64{}, map[ledger.State]int64{}
	for _, t := range m.transfers {
		if t.state == ledger.Posted && t.ended.After(at) {
			continue
		}
		for _, line := range t.request.Draft.Lines {
			if line.AccountID != account {
				continue
			}
			if line.Side == ledger.Debit {
				debits[t.state] += line.Amount.Minor
			} else {
				credits[t.state] += line.Amount.Minor
			}
		}
	}
	return debits, credits
}

var ever = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)

// short tells whether a purse (credit side, no overdraft) is below zero.
func (m *model) short(account string) bool {
	debits, credits := m.sums(account, ever)
	return account != "source" && credits[ledger.Posted]-debits[ledger.Posted]-debits[ledger.Pending] < 0
}

// apply does a chain and returns what its requests come to.
func (m *model) apply(requests []ledger.Request, at time.Time) []error {
	work, errs := m.clone(), make([]error, len(requests))
	var chain []string
	repeats := 0
	for i, r := range requests {
		key := r.Draft.IdempotencyKey
		err := ledger.ErrConflict // what was linked before, with one that was not
		if key == "" || repeats == 0 || repeats < len(chain) || m.transfers[key] != nil {
			err = work.one(r, at)
			if key != "" && err == nil && len(requests) > 1 {
				work.transfers[key].chain = append(chain, key)[0]
			}
		}
		if key != "" {
			if chain = append(chain, key); errors.Is(err, errRepeated) {
				repeats++
			}
		}
		if err == nil || errors.Is(err, errRepeated) {
			if repeats == 0 || repeats == len(chain) && work.sameChain(chain, len(requests) > 1) {
				continue
			}
			err = ledger.ErrConflict
		}
		for j := range errs {
			errs[j] = ledger.ErrLinked
		}
		errs[i] = err
		return errs
	}
	*m = *work
	return errs
}

// sameChain tells whether repeats were linked as they are now, so far.
func (m *model) sameChain(keys []string, linked bool) bool {
	for _, key := range keys {
		if had := m.transfers[key].chain; linked && had != keys[0] || !linked && had != "" {
			return false
		}
	}
	return true
}

var errRepeated = errors.New("repeated")

func (m *model) one(r ledger.Request, at time.Time) error {
	if r.Action == ledger.ActionPost || r.Action == ledger.ActionVoid {
		return m.end(r, at)
	}
	key := r.Draft.IdempotencyKey
	if t := m.transfers[key]; t != nil {
		a, b := t.request, r
		a.Linked, b.Linked = false, false
		if fmt.Sprint(a) != fmt.Sprint(b) {
			return ledger.ErrConflict
		}
		return errRepeated
	}
	for _, line := range r.Draft.Lines {
		if line.AccountID == "nobody" {
			return ledger.ErrUnknownAccount
		}
	}
	t := &modelTransfer{request: r, state: ledger.Posted, ended: at, number: len(m.transfers)}
	if r.Action == ledger.ActionPend {
		t.state, t.ended = ledger.Pending, time.Time{}
		if r.Draft.Timeout > 0 {
			t.expires = at.Add(r.Draft.Timeout)
		}
	}
	m.transfers[key] = t
	for _, line := range r.Draft.Lines {
		if line.Side == ledger.Debit && m.short(line.AccountID) {
			return ledger.ErrInsufficientFunds
		}
	}
	if t.state == ledger.Posted {
		m.order = append(m.order, key)
	}
	return nil
}

func (m *model) members(key string) []string {
	chain := m.transfers[key].chain
	if chain == "" {
		return []string{key}
	}
	var all []string
	for other, t := range m.transfers {
		if t.chain == chain {
			all = append(all, other)
		}
	}
	slices.SortFunc(all, func(a, b string) int { return m.transfers[a].number - m.transfers[b].number })
	return all
}

func (m *model) due(key string, at time.Time) bool {
	return slices.ContainsFunc(m.members(key), func(key string) bool {
		t := m.transfers[key]
		return t.state == ledger.Pending && !t.expires.IsZero() && !at.Before(t.expires)
	})
}

func (m *model) end(r ledger.Request, at time.Time) error {
	t := m.transfers[r.Target.IdempotencyKey]
	if t == nil {
		return ledger.ErrNotFound
	}
	final := ledger.Posted
	if r.Action == ledger.ActionVoid {
		final = ledger.Voided
	}
	switch {
	case t.state == final:
		return errRepeated
	case t.state == ledger.Pending && final == ledger.Posted && m.due(r.Target.IdempotencyKey, at):
		return ledger.ErrExpired
	case t.state != ledger.Pending:
		return ledger.ErrState
	}
	m.finish(r.Target.IdempotencyKey, final, at)
	return nil
}

func (m *model) finish(key string, final ledger.State, at time.Time) {
	for _, key := range m.members(key) {
		if t := m.transfers[key]; t.state == ledger.Pending {
			t.state, t.ended = final, at
			if final == ledger.Posted {
				m.order = append(m.order, key)
			}
		}
	}
}

// expire voids what is due.
func (m *model) expire(at time.Time) {
	for _, key := range slices.Sorted(maps.Keys(m.transfers)) {
		if m.transfers[key].state == ledger.Pending && m.due(key, at) {
			m.finish(key, ledger.Voided, at)
		}
	}
}

// refused is what a request is refused for before it is booked, given what is
// known when the call begins.
func (m *model) refused(r ledger.Request, drafted map[string]bool) error {
	if r.Action == ledger.ActionPost || r.Action == ledger.ActionVoid {
		if m.transfers[r.Target.IdempotencyKey] == nil && !drafted[r.Target.IdempotencyKey] {
			return ledger.ErrNotFound
		}
		return nil
	}
	if r.Draft.Lines[0].Amount.Minor <= 0 {
		return ledger.ErrAmount
	}
	if r.Draft.Lines[0].AccountID == r.Draft.Lines[1].AccountID {
		return ledger.ErrSameAccount
	}
	return nil
}

// walk draws calls.
type walk struct {
	*fixture
	*rand.Rand
	model *model
}

func (w *walk) request() ledger.Request {
	key := "key-" + strconv.Itoa(w.IntN(60))
	pick := func() string {
		names := []string{"source", "source", "a", "b", "c", "d"}
		if w.IntN(40) == 0 {
			return "nobody"
		}
		return names[w.IntN(len(names))]
	}
	switch action := ledger.Action(1 + w.IntN(4)); action {
	case ledger.ActionPost, ledger.ActionVoid:
		return ledger.Request{Action: action, Target: ledger.Target{IdempotencyKey: key}}
	default:
		if known := w.model.transfers[key]; known != nil && w.IntN(3) > 0 { // the same again
			again := known.request
			again.Linked = false
			return again
		}
		amount := usd(w.Int64N(60) - 1)
		r := ledger.Request{Action: action, Draft: ledger.Draft{
			TenantID: "main", Currency: "USD", Type: "payment", IdempotencyKey: key,
			Lines: []ledger.Line{{AccountID: pick(), Side: ledger.Debit, Amount: amount}, {AccountID: pick(), Side: ledger.Credit, Amount: amount}},
		}}
		if action == ledger.ActionPend && w.IntN(2) == 0 {
			r.Draft.Timeout = time.Duration(1+w.IntN(5))*time.Second + 500*time.Microsecond // on no clock's tick
		}
		return r
	}
}

// call draws a call of a few chains and compares what comes of it.
func (w *walk) call() {
	w.t.Helper()
	var requests []ledger.Request
	var chains [][2]int
	drafted := map[string]bool{}
	for range 1 + w.IntN(4) {
		first := len(requests)
		for range 1 + max(0, w.IntN(6)-2) {
			requests = append(requests, w.request())
			requests[len(requests)-1].Linked = true
			drafted[requests[len(requests)-1].Draft.IdempotencyKey] = true
		}
		requests[len(requests)-1].Linked = false
		chains = append(chains, [2]int{first, len(requests)})
	}
	want := make([]error, len(requests))
	var admitted [][2]int
	for _, c := range chains {
		bad := slices.IndexFunc(requests[c[0]:c[1]], func(r ledger.Request) bool { return w.model.refused(r, drafted) != nil })
		if bad < 0 {
			admitted = append(admitted, c)
			continue
		}
		for i := c[0]; i < c[1]; i++ {
			want[i] = ledger.ErrLinked
		}
		want[c[0]+bad] = w.model.refused(requests[c[0]+bad], drafted)
	}
	got := w.Book(w.t.Context(), "main", requests)
	at := w.clock().UTC().Truncate(time.Microsecond)
	for _, c := range admitted {
		copy(want[c[0]:c[1]], w.model.apply(requests[c[0]:c[1]], at))
	}
	for i := range requests {
		if !errors.Is(got[i].Err, want[i]) || want[i] == nil && got[i].Err != nil {
			w.t.Fatalf("request %d of %+v:\ngot %v, want %v", i, requests, got[i].Err, want[i])
		}
	}
}

// same compares the whole ledger with the model.
func (w *walk) same() {
	w.t.Helper()
	total := int64(0)
	for _, id := range []string{"source", "a", "b", "c", "d"} {
		account, err := w.AccountByID(w.t.Context(), "main", id)
		if err != nil {
			w.t.Fatal(err)
		}
		debits, credits := w.model.sums(id, ever)
		got := account.Balance
		if got.DebitsPosted.Minor != debits[ledger.Posted] || got.CreditsPosted.Minor != credits[ledger.Posted] ||
			got.DebitsPending.Minor != debits[ledger.Pending] || got.CreditsPending.Minor != credits[ledger.Pending] {
			w.t.Fatalf("account %s has %v, want %v %v", id, got, debits, credits)
		}
		if w.model.short(id) {
			w.t.Fatalf("account %s is below zero", id)
		}
		total += got.CreditsPosted.Minor - got.DebitsPosted.Minor
		past := noon.Add(time.Duration(w.Int64N(int64(w.clock().Sub(noon)) + 1)))
		then, err := w.Engine.BalanceAsOf(w.t.Context(), "main", id, past.Add(500*time.Millisecond))
		debits, credits = w.model.sums(id, past.Add(500*time.Millisecond))
		if err != nil || then.DebitsPosted.Minor != debits[ledger.Posted] || then.CreditsPosted.Minor != credits[ledger.Posted] {
			w.t.Fatalf("account %s had %v at %v, %v, want %v %v", id, then, past, err, debits, credits)
		}
	}
	if total != 0 {
		w.t.Fatalf("the ledger sums to %d", total)
	}
	report := w.verified()
	if len(report.Heads) > 0 && report.Heads[0].Sequence != int64(len(w.model.order)) {
		w.t.Fatalf("the chain has %d links, want %d", report.Heads[0].Sequence, len(w.model.order))
	}
	for i, key := range w.model.order {
		if t, err := w.Find(w.t.Context(), "main", key); err != nil || t.Sequence != int64(i+1) {
			w.t.Fatalf("transfer %s has place %d, %v, want %d", key, t.Sequence, err, i+1)
		}
	}
}

// TestEngineEqualsTheModel books random calls. BACKLOT_SEED repeats one.
func TestEngineEqualsTheModel(t *testing.T) {
	seed := uint64(time.Now().UnixNano() & 0xffffff)
	if given := os.Getenv("BACKLOT_SEED"); given != "" {
		var err error
		if seed, err = strconv.ParseUint(given, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	suite(t, func(f *fixture) {
		f.t.Logf("BACKLOT_SEED=%d", seed)
		w := &walk{f, rand.New(rand.NewPCG(seed, 1)), &model{transfers: map[string]*modelTransfer{}}}
		f.purses()
		for step := range 150 {
			// No two batches of the model are at one time: it cannot tell these apart.
			f.pass(time.Duration(10+w.IntN(400)) * time.Millisecond)
			switch w.IntN(12) {
			case 0: // everything that is due
				f.pass(time.Second)
				if _, err := w.Expire(f.t.Context()); err != nil {
					f.t.Fatal(err)
				}
				w.model.expire(f.clock().UTC().Truncate(time.Microsecond))
			case 1: // another process goes on
				w.Engine = f.engine(enginesConfig(w.IntN(3)))
			default:
				w.call()
			}
			if step%15 == 14 {
				w.same()
			}
		}
	})
}
