package tcc_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/backlot-video/backlot/kit/database"
	"github.com/backlot-video/backlot/kit/database/databasetest"
	"github.com/backlot-video/backlot/kit/tcc"
	tccv1 "github.com/backlot-video/backlot/proto/gen/backlot/tcc/v1"
)

// fences is the matrix: calls of one branch in order, each made by several
// callers at once; the answer that all of them get; and what has run in the
// end, once each.
var fences = []struct {
	name   string
	calls  []string // phase answer
	effect string
}{
	{"repeated", []string{"try done", "try done", "confirm done", "confirm done", "try done"}, "confirm try"},
	{"repeated cancel", []string{"try done", "cancel done", "cancel done"}, "cancel try"},
	{"empty", []string{"cancel done", "cancel done"}, ""},
	{"hanging", []string{"cancel done", "try cancelled", "try cancelled", "cancel done"}, ""},
	{"hanging after a cancel", []string{"try done", "cancel done", "try cancelled"}, "cancel try"},
	{"confirm after cancel", []string{"try done", "cancel done", "confirm cancelled", "cancel done"}, "cancel try"},
	{"confirm after an empty cancel", []string{"cancel done", "confirm cancelled", "try cancelled"}, ""},
	{"confirm without try", []string{"confirm untried", "confirm untried"}, ""},
	{"confirm before try", []string{"confirm untried", "try done", "confirm done"}, "confirm try"},
	{"cancel after confirm", []string{"try done", "confirm done", "cancel confirmed", "confirm done"}, "confirm try"},
}

// prefixes are xids of which each is a prefix of the next.
var prefixes = []string{"order-1", "order-10", "order-100"}

// participant is a barrier behind one of its doors.
type participant struct {
	call func(t *testing.T, xid string, phase tcc.Phase) (answer string)
	db   *sql.DB
}

const effectsSchema = "CREATE TABLE effects (xid TEXT NOT NULL, phase TEXT NOT NULL)"

func effect(ctx context.Context, tx *sql.Tx, xid string, phase tcc.Phase) error {
	_, err := tx.ExecContext(ctx, "INSERT INTO effects (xid, phase) VALUES ($1, $2)", xid, string(phase))
	return err
}

// overRPC is the participant of backlot.tcc.v1 on kit/database.
func overRPC(db *database.DB) participant {
	work := func(phase tcc.Phase) tcc.Work {
		return func(ctx context.Context, tx *sql.Tx, branch *tccv1.Branch) error {
			return effect(ctx, tx, branch.GetXid(), phase)
		}
	}
	server := tcc.NewServer(db, map[string]tcc.Participant{
		"pay": {Try: work(tcc.Try), Confirm: work(tcc.Confirm), Cancel: work(tcc.Cancel)},
	}, tcc.Config{})
	return participant{db: db.Read(), call: func(t *testing.T, xid string, phase tcc.Phase) string {
		var err error
		switch phase {
		case tcc.Try:
			_, err = server.Try(t.Context(), &tccv1.TryRequest{Branch: branchOf(xid)})
		case tcc.Confirm:
			_, err = server.Confirm(t.Context(), &tccv1.ConfirmRequest{Branch: branchOf(xid)})
		case tcc.Cancel:
			_, err = server.Cancel(t.Context(), &tccv1.CancelRequest{Branch: branchOf(xid)})
		}
		if err != nil {
			return answerOf(err.Error())
		}
		return "done"
	}}
}

// overSet is a participant that decides by a Set, as one that books in batches.
func overSet(db *database.DB) participant {
	return participant{db: db.Read(), call: func(t *testing.T, xid string, phase tcc.Phase) string {
		for {
			err := db.Write(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
				set, err := tcc.Barrier{}.Load(ctx, tx, []*tccv1.Branch{branchOf(xid)})
				if err != nil {
					return err
				}
				first, err := set.Check(branchOf(xid), phase)
				if err != nil {
					return err
				}
				if first {
					if err := effect(ctx, tx, xid, phase); err != nil {
						return err
					}
					set.Pass(branchOf(xid), phase)
				}
				return set.Save(ctx, tx)
			})
			switch {
			case errors.Is(err, tcc.ErrMoved):
				continue
			case err != nil:
				return answerOf(err.Error())
			}
			return "done"
		}
	}}
}

// overHTTP is a participant by plain HTTP on a database of its own, without
// Backlot's migrations.
func overHTTP(t *testing.T, db *sql.DB) participant {
	for _, statement := range []string{tcc.Schema, tcc.Schema, effectsSchema} {
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	work := func(ctx context.Context, tx *sql.Tx, call tcc.HTTPCall) error {
		return effect(ctx, tx, call.XID, call.Phase)
	}
	server := httptest.NewServer(tcc.NewHTTPHandler(tcc.SQL(db), "pay", tcc.HTTPParticipant{Try: work, Confirm: work, Cancel: work}, tcc.Config{}))
	t.Cleanup(server.Close)
	return participant{db: db, call: func(t *testing.T, xid string, phase tcc.Phase) string {
		status, body := post(t, server.URL, map[string]string{
			tcc.HeaderXID: url.PathEscape(xid), tcc.HeaderBranch: "b", tcc.HeaderTenant: "main", tcc.HeaderPhase: string(phase),
		}, "{}")
		switch status {
		case http.StatusNoContent:
			return "done"
		case http.StatusConflict:
			return answerOf(body)
		default:
			return fmt.Sprint(status, " ", body)
		}
	}}
}

func post(t *testing.T, address string, headers map[string]string, body string) (int, string) {
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address, strings.NewReader(body))
	if err != nil {
		t.Error(err)
		return 0, ""
	}
	for name, value := range headers {
		request.Header.Set(name, value)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Error(err)
		return 0, ""
	}
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Error(err)
	}
	_ = response.Body.Close()
	return response.StatusCode, string(text)
}

func answerOf(text string) string {
	for sentinel, name := range map[error]string{
		tcc.ErrCancelled: "cancelled", tcc.ErrConfirmed: "confirmed", tcc.ErrNotTried: "untried", tcc.ErrAction: "other action",
	} {
		if strings.Contains(text, sentinel.Error()) {
			return name
		}
	}
	return text
}

// doors runs a test on both engines, and by every door on each.
func doors(t *testing.T, test func(t *testing.T, p participant)) {
	migrations, err := databasetest.With("kit", effectsSchema+";\n")
	if err != nil {
		t.Fatal(err)
	}
	for _, dialect := range []database.Dialect{database.SQLite, database.PostgreSQL} {
		t.Run(string(dialect)+" rpc", func(t *testing.T) {
			test(t, overRPC(databasetest.Open(t, databasetest.Config(t, dialect, "kit"), migrations)))
		})
		t.Run(string(dialect)+" set", func(t *testing.T) {
			test(t, overSet(databasetest.Open(t, databasetest.Config(t, dialect, "kit"), migrations)))
		})
		t.Run(string(dialect)+" http", func(t *testing.T) {
			driver, source := "sqlite", "file:"+filepath.Join(t.TempDir(), "own.db")+"?_txlock=immediate&_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)"
			if dialect == database.PostgreSQL {
				own := databasetest.Open(t, databasetest.Config(t, dialect, "own"), migrations)
				if _, err := own.Read().ExecContext(t.Context(), "DROP TABLE tcc_barrier; DROP TABLE effects"); err != nil {
					t.Fatal(err)
				}
				test(t, overHTTP(t, own.Read())) // a pool of the driver's default isolation
				return
			}
			db, err := sql.Open(driver, source)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = db.Close() })
			test(t, overHTTP(t, db))
		})
	}
}

// together makes a call by several callers at once.
func together(t *testing.T, p participant, xid string, phases ...tcc.Phase) map[tcc.Phase][]string {
	const callers = 4
	var mu sync.Mutex
	answers := map[tcc.Phase][]string{}
	var all sync.WaitGroup
	for _, phase := range phases {
		for range callers {
			all.Go(func() {
				answer := p.call(t, xid, phase)
				mu.Lock()
				defer mu.Unlock()
				answers[phase] = append(answers[phase], answer)
			})
		}
	}
	all.Wait()
	return answers
}

func (p participant) effects(t *testing.T, xid string) string {
	rows, err := p.db.QueryContext(t.Context(), "SELECT phase FROM effects WHERE xid = $1 ORDER BY phase", xid)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	var phases []string
	for rows.Next() {
		var phase string
		if err := rows.Scan(&phase); err != nil {
			t.Fatal(err)
		}
		phases = append(phases, phase)
	}
	return strings.Join(phases, " ")
}

// TestFenceMatrix plays every row for xids that are prefixes of each other,
// side by side and with rows of their own, so that they would show if they
// mixed.
func TestFenceMatrix(t *testing.T) {
	doors(t, func(t *testing.T, p participant) {
		var all sync.WaitGroup
		for i, fence := range fences {
			for _, prefix := range prefixes {
				xid := fmt.Sprintf("%c-%s", 'a'+i, prefix)
				all.Go(func() {
					for step, call := range fence.calls {
						phase, want, _ := strings.Cut(call, " ")
						for _, got := range together(t, p, xid, tcc.Phase(phase))[tcc.Phase(phase)] {
							if got != want {
								t.Errorf("%s of %s, step %d: %s is %s, want %s", fence.name, xid, step, phase, got, want)
							}
						}
					}
				})
			}
		}
		all.Wait()
		for i, fence := range fences {
			for _, prefix := range prefixes {
				if got := p.effects(t, fmt.Sprintf("%c-%s", 'a'+i, prefix)); got != fence.effect {
					t.Errorf("%s of %s: %q ran, want %q", fence.name, prefix, got, fence.effect)
				}
			}
		}
	})
}

// TestPrefixesTakeDifferentEnds: what is done to one xid is not done to those
// that begin with it.
func TestPrefixesTakeDifferentEnds(t *testing.T) {
	doors(t, func(t *testing.T, p participant) {
		for _, xid := range prefixes {
			if got := p.call(t, xid, tcc.Try); got != "done" {
				t.Fatal(got)
			}
		}
		for xid, want := range map[string]string{"order-1": "cancel done", "order-10": "confirm done"} {
			phase, answer, _ := strings.Cut(want, " ")
			if got := p.call(t, xid, tcc.Phase(phase)); got != answer {
				t.Errorf("%s of %s: %s", phase, xid, got)
			}
		}
		for xid, want := range map[string]string{"order-1": "cancel try", "order-10": "confirm try", "order-100": "try"} {
			if got := p.effects(t, xid); got != want {
				t.Errorf("%s: %q ran, want %q", xid, got, want)
			}
		}
	})
}

// TestRacesHaveOneWinner: phases of one branch at the same time.
func TestRacesHaveOneWinner(t *testing.T) {
	races := []struct {
		before []tcc.Phase
		at     []tcc.Phase
		want   []string // effects
	}{
		{nil, []tcc.Phase{tcc.Try, tcc.Cancel}, []string{"", "cancel try"}},
		{nil, []tcc.Phase{tcc.Try, tcc.Confirm}, []string{"try", "confirm try"}},
		{[]tcc.Phase{tcc.Try}, []tcc.Phase{tcc.Confirm, tcc.Cancel}, []string{"confirm try", "cancel try"}},
		{nil, []tcc.Phase{tcc.Try, tcc.Confirm, tcc.Cancel}, []string{"", "confirm try", "cancel try"}},
	}
	doors(t, func(t *testing.T, p participant) {
		for i, race := range races {
			for round := range 4 {
				xid := fmt.Sprintf("race-%d-%d", i, round)
				for _, phase := range race.before {
					p.call(t, xid, phase)
				}
				for phase, answers := range together(t, p, xid, race.at...) {
					for _, answer := range answers {
						if !slices.Contains([]string{"done", "cancelled", "confirmed", "untried"}, answer) {
							t.Errorf("%v, %s: %s", race.at, phase, answer)
						}
					}
				}
				if got := p.effects(t, xid); !slices.Contains(race.want, got) {
					t.Errorf("%v at once: %q ran, want one of %q", race.at, got, race.want)
				}
			}
		}
	})
}
