package settlement_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/backlot-video/backlot/kit/database"
	"github.com/backlot-video/backlot/kit/database/databasetest"
	"github.com/backlot-video/backlot/kit/money"
	"github.com/backlot-video/backlot/kit/mq"
	settlementv1 "github.com/backlot-video/backlot/proto/gen/backlot/settlement/v1"
	"github.com/backlot-video/backlot/services/settlement"
	"github.com/backlot-video/backlot/services/settlement/internal/api"
	"github.com/backlot-video/backlot/services/settlement/internal/store"
	backlotsql "github.com/backlot-video/backlot/sql"
)

// The test of kills runs a process that books, and kills it under load again and
// again. It is told by BACKLOT_KILL_TEST where to book and where each of its
// clients goes on, and writes a line for each step that was acknowledged.
const killTest = "BACKLOT_KILL_TEST"

const (
	killClients  = 24
	killAccounts = 50
	kills        = 6
	mostKills    = 20 // until enough of them came while moves were sorted

	// A ledger is sorted after some ten batches, and in some thirty more.
	killSortAfter, killSortRuns = 500, 2
)

// killOrders is what the process is told.
type killOrders struct {
	Config killConfig
	Next   [killClients]int // the first step of each client that is not known to be done
}

type killConfig struct{ DataDir, URL, Schema string }

func (c killConfig) connect(ctx context.Context) (*settlement.Ledger, error) {
	return settlement.Connect(ctx, database.Config{DataDir: c.DataDir, URL: c.URL, Schema: c.Schema}, settlement.Config{Facts: true})
}

// step is what a client does in its n-th step, always the same: one in four is
// pending first, and then voided or posted; one in eight is two that are linked.
type step struct {
	key     string
	pends   bool
	linked  bool
	voids   bool
	from    int
	to      int
	credits int64
}

func stepOf(client, n int) step {
	random := rand.New(rand.NewPCG(uint64(client), uint64(n)))
	s := step{key: fmt.Sprintf("c%d-%d", client, n), pends: n%4 == 1, linked: n%8 == 2, voids: n%8 == 1, credits: 1 + random.Int64N(1000)}
	s.from = random.IntN(killAccounts)
	s.to = (s.from + 1 + random.IntN(killAccounts-1)) % killAccounts
	return s
}

// keys are those of the transfers that a step books.
func (s step) keys() []string {
	if s.linked {
		return []string{s.key, s.key + "-too"}
	}
	return []string{s.key}
}

func (s step) requests() []settlement.Request {
	amount := money.Amount{Minor: s.credits, Currency: "USD"}
	var all []settlement.Request
	for _, key := range s.keys() {
		r := settlement.Request{Action: settlement.ActionBook, Draft: settlement.Draft{
			TenantID: "main", Currency: "USD", Type: "payment", IdempotencyKey: key, Reference: "ref-" + key,
			Lines: []settlement.Line{
				{AccountID: killAccount(s.from), Side: settlement.Debit, Amount: amount},
				{AccountID: killAccount(s.to), Side: settlement.Credit, Amount: amount},
			},
		}}
		if s.pends {
			r.Action = settlement.ActionPend
		}
		all = append(all, r)
	}
	all[0].Linked = s.linked
	return all
}

func (s step) end() settlement.Request {
	r := settlement.Request{Action: settlement.ActionPost, Target: settlement.Target{IdempotencyKey: s.key}}
	if s.voids {
		r.Action = settlement.ActionVoid
	}
	return r
}

func killAccount(n int) string { return fmt.Sprint("account-", n) }

func TestMain(m *testing.M) {
	orders := os.Getenv(killTest)
	if orders == "" {
		os.Exit(m.Run())
	}
	if err := playBooker(orders); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// playBooker is the process. It ends when its standard input does, so with the
// test.
func playBooker(text string) error {
	var orders killOrders
	if err := json.Unmarshal([]byte(text), &orders); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	settlement.SortSoon(killSortAfter, killSortRuns)
	books, err := orders.Config.connect(ctx)
	if err != nil {
		return err
	}
	for n := range killAccounts {
		results := books.OpenAccounts(ctx, "main", []settlement.AccountSpec{{
			ID: killAccount(n), Purpose: "purse", OwnerID: killAccount(n), Currency: "USD", NormalSide: settlement.Credit, Overdraft: true,
		}})
		if results[0].Err != nil {
			return results[0].Err
		}
	}
	var group sync.WaitGroup
	for c := range killClients {
		group.Go(func() {
			for n := orders.Next[c]; ctx.Err() == nil; n++ {
				s := stepOf(c, n)
				if err := bookStep(ctx, books, s); err != nil {
					fmt.Printf("failed %s: %v\n", s.key, err)
					return
				}
				fmt.Printf("done %d %d\n", c, n)
			}
		})
	}
	group.Wait()
	return books.Close()
}

func bookStep(ctx context.Context, books *settlement.Ledger, s step) error {
	for _, r := range books.Book(ctx, "main", s.requests()) {
		if r.Err != nil {
			return r.Err
		}
	}
	if !s.pends {
		return nil
	}
	return books.Book(ctx, "main", []settlement.Request{s.end()})[0].Err
}

func TestNothingIsLostOrBookedTwiceWhenItsProcessIsKilled(t *testing.T) {
	for _, dialect := range []database.Dialect{database.SQLite, database.PostgreSQL} {
		t.Run(string(dialect), func(t *testing.T) {
			cfg := databasetest.Config(t, dialect, "settlement")
			orders := killOrders{Config: killConfig{cfg.DataDir, cfg.URL, cfg.Schema}}
			random := rand.New(rand.NewPCG(7, 7))
			seen := sorting{}
			for n := 0; n < kills || !seen.enough(); n++ {
				if n == mostKills {
					t.Fatalf("after %d kills: %+v", n, seen)
				}
				runBooker(t, &orders, 100+random.IntN(500))
				seen.look(t, cfg)
			}
			books, err := orders.Config.connect(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			posted := checkKilled(t, books, orders)
			if err := books.Close(); err != nil {
				t.Fatal(err)
			}
			checkFacts(t, cfg, posted)
		})
	}
}

// sorting is how far moves were sorted when the process was killed.
type sorting struct{ writing, deleting, done int }

func (s *sorting) enough() bool { return s.writing >= 2 && s.writing+s.deleting >= 3 && s.done >= 2 }

func (s *sorting) look(t *testing.T, cfg database.Config) {
	t.Helper()
	db, err := database.Open(t.Context(), cfg, backlotsql.Migrations("settlement"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var sortedTo, sortingTo int64
	row := db.Read().QueryRowContext(t.Context(), "SELECT sorted_to, sorting_to FROM ledgers WHERE currency = 'USD'")
	if err := row.Scan(&sortedTo, &sortingTo); err != nil {
		t.Fatal(err)
	}
	if sortedTo > 0 {
		s.done++
	}
	switch sortingTo {
	case 0:
	case sortedTo:
		s.deleting++
	default:
		s.writing++
	}
}

// runBooker has the process acknowledge so many steps, and kills it.
func runBooker(t *testing.T, orders *killOrders, steps int) {
	t.Helper()
	text, err := json.Marshal(orders)
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, program)
	command.Env, command.Stderr = append(os.Environ(), killTest+"="+string(text)), t.Output()
	if _, err := command.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	output, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	done := 0
	for lines := bufio.NewScanner(output); lines.Scan(); {
		var client, n int
		if _, err := fmt.Sscanf(lines.Text(), "done %d %d", &client, &n); err != nil {
			t.Error(lines.Text())
			continue
		}
		if n != orders.Next[client] {
			t.Errorf("client %d did step %d after %d", client, n, orders.Next[client]-1)
		}
		orders.Next[client] = n + 1
		if done++; done == steps { // what it writes before it is dead counts, too
			if err := command.Process.Kill(); err != nil {
				t.Error(err)
			}
		}
	}
	_ = command.Wait() // it was killed
	if done < steps {
		t.Fatalf("the process ended after %d steps of %d", done, steps)
	}
}

// checkKilled checks that all that was acknowledged is there, once, and returns
// the ids of all that was posted.
func checkKilled(t *testing.T, books *settlement.Ledger, orders killOrders) map[string]bool {
	t.Helper()
	posted, pending := make(map[string]bool), 0
	balances := make(map[string]int64)
	for c := range killClients {
		for n := 0; n <= orders.Next[c]; n++ {
			s := stepOf(c, n)
			for _, key := range s.keys() {
				transfer, err := books.Find(t.Context(), "main", key)
				switch {
				case errors.Is(err, settlement.ErrNotFound) && n == orders.Next[c]: // it was not acknowledged
					continue
				case err != nil:
					t.Fatalf("transfer %s: %v", key, err)
				case transfer.Reference != "ref-"+key || transfer.Postings[0].AccountID != killAccount(s.from) || transfer.Postings[1].Amount.Minor != s.credits:
					t.Errorf("transfer %s is another one: %+v", key, transfer)
				}
				want := settlement.Posted
				if s.voids {
					want = settlement.Voided
				}
				if transfer.State == settlement.Pending {
					pending++
				}
				if transfer.State != want && (n < orders.Next[c] || transfer.State != settlement.Pending) {
					t.Errorf("transfer %s is %v", key, transfer.State)
				}
				if transfer.State == settlement.Posted {
					posted[transfer.ID] = true
					balances[killAccount(s.from)] -= s.credits
					balances[killAccount(s.to)] += s.credits
				}
			}
		}
	}
	report, err := books.Verify(t.Context(), "main")
	if err != nil || len(report.Faults) > 0 || report.Transfers != int64(len(posted)+pending) || report.Heads[0].Sequence != int64(len(posted)) {
		t.Errorf("%d posted, %d pending, verified as %+v, %v", len(posted), pending, report, err)
	}
	for id, want := range balances {
		account, err := books.Account(t.Context(), "main", id)
		if err != nil || account.Balance.CreditsPosted.Minor-account.Balance.DebitsPosted.Minor != want {
			t.Errorf("%s has %v, want %d, %v", id, account.Balance, want, err)
		}
	}
	return posted
}

// checkFacts checks that each posted transfer was told of once, in order.
func checkFacts(t *testing.T, cfg database.Config, posted map[string]bool) {
	t.Helper()
	db := databasetest.Open(t, cfg, backlotsql.Migrations("settlement"))
	outbox := mq.NewOutbox(mq.OutboxConfig{Service: "settlement", DB: db, Expand: api.Expand(store.New(db))})
	rows, err := db.Read().QueryContext(t.Context(), "SELECT envelope FROM outbox ORDER BY sequence, id")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	last := int64(0)
	for rows.Next() {
		var data []byte
		if err := rows.Scan(&data); err != nil {
			t.Fatal(err)
		}
		envelope, _, err := outbox.Decode(t.Context(), data)
		if err != nil {
			t.Fatalf("fact %v, %v", envelope, err)
		}
		var fact settlementv1.TransfersPosted
		if err := envelope.GetData().UnmarshalTo(&fact); err != nil {
			t.Fatal(err)
		}
		for _, transfer := range fact.GetTransfers() {
			if transfer.GetSequence() != last+1 || !posted[transfer.GetId()] {
				t.Fatalf("transfer %s with sequence %d is told of after %d", transfer.GetId(), transfer.GetSequence(), last)
			}
			last = transfer.GetSequence()
			delete(posted, transfer.GetId())
		}
	}
	if err := rows.Err(); err != nil || len(posted) > 0 {
		t.Errorf("%d posted transfers are not told of, %v", len(posted), err)
	}
}
