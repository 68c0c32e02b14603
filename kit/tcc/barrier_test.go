package tcc_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/backlot-video/backlot/kit/database"
	"github.com/backlot-video/backlot/kit/database/databasetest"
	"github.com/backlot-video/backlot/kit/tcc"
	tccv1 "github.com/backlot-video/backlot/proto/gen/backlot/tcc/v1"
)

func branchOf(xid string) *tccv1.Branch {
	return &tccv1.Branch{Xid: xid, BranchId: "b", TenantId: "main", Action: "pay"}
}

var errWork = errors.New("work failed")

// TestCallsRunOnceAndInPlace plays every order of calls that matters. A call is
// written as T, C or X for Try, Confirm or Cancel, with ! where its work fails;
// what came of it as run, repeat or the error.
func TestCallsRunOnceAndInPlace(t *testing.T) {
	cases := []string{
		"T run, C run",
		"T run, X run",
		"T run, T repeat, C run, C repeat, T repeat, C repeat",
		"T run, T repeat, X run, X repeat, X repeat",
		"X repeat, X repeat, T cancelled, X repeat, T cancelled",
		"X repeat, C cancelled, T cancelled",
		"C untried, T run, C run",
		"C untried, X repeat, T cancelled",
		"T run, X run, C cancelled, T cancelled, C cancelled",
		"T run, C run, X confirmed, C repeat, X confirmed",
		"T! failed, T! failed, T run, C! failed, C run, C repeat",
		"T! failed, X repeat, T cancelled",
		"T run, X! failed, X run, X repeat, C cancelled",
		"T run, C! failed, X run, C cancelled",
		"T! failed, C untried",
	}
	databasetest.Each(t, "kit", func(t *testing.T, db *database.DB) {
		for way, play := range map[string]player{"alone": play, "in a set": playSet} {
			for i, script := range cases {
				branch := branchOf(way + fmt.Sprint(i))
				for step, call := range strings.Split(script, ", ") {
					letter, want, _ := strings.Cut(call, " ")
					if got := play(t, db, branch, letter); got != want {
						t.Errorf("%s: %q, step %d: %s is %s", way, script, step, letter, got)
					}
				}
			}
		}
		for i, script := range cases { // all calls in one transaction
			if got, want := playAll(t, db, branchOf("at once"+fmt.Sprint(i)), script), script; got != want {
				t.Errorf("at once: %q, want %q", got, want)
			}
		}
	})
}

type player func(t *testing.T, db *database.DB, branch *tccv1.Branch, letter string) string

// playSet is play by a Set.
func playSet(t *testing.T, db *database.DB, branch *tccv1.Branch, letter string) string {
	_, got, _ := strings.Cut(playAll(t, db, branch, letter), " ")
	return got
}

// playAll plays the calls of a script by one Set.
func playAll(t *testing.T, db *database.DB, branch *tccv1.Branch, script string) string {
	var got []string
	err := db.Write(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
		got = nil
		set, err := tcc.Barrier{}.Load(ctx, tx, []*tccv1.Branch{branch})
		if err != nil {
			return err
		}
		for call := range strings.SplitSeq(script, ", ") {
			letter, _, _ := strings.Cut(call, " ")
			phase := map[byte]tcc.Phase{'T': tcc.Try, 'C': tcc.Confirm, 'X': tcc.Cancel}[letter[0]]
			first, err := set.Check(branch, phase)
			switch {
			case first && strings.HasSuffix(letter, "!"):
				err = errWork
			case first:
				set.Pass(branch, phase)
			}
			got = append(got, letter+" "+outcome(first, err))
		}
		return set.Save(ctx, tx)
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(got, ", ")
}

// TestSetIsRefusedWhereOthersHaveCalled has two sets read one branch.
func TestSetIsRefusedWhereOthersHaveCalled(t *testing.T) {
	databasetest.Each(t, "kit", func(t *testing.T, db *database.DB) {
		branch := branchOf("x")
		var stale *tcc.Set
		load := func(ctx context.Context, tx *sql.Tx) (err error) {
			stale, err = tcc.Barrier{}.Load(ctx, tx, []*tccv1.Branch{branch})
			return err
		}
		if err := db.Write(t.Context(), load); err != nil {
			t.Fatal(err)
		}
		if got := play(t, db, branch, "X"); got != "repeat" {
			t.Fatal(got)
		}
		if first, err := stale.Check(branch, tcc.Try); !first || err != nil {
			t.Fatal(first, err)
		}
		stale.Pass(branch, tcc.Try)
		if err := db.Write(t.Context(), stale.Save); !errors.Is(err, tcc.ErrMoved) {
			t.Errorf("got %v, want ErrMoved", err)
		}
	})
}

func play(t *testing.T, db *database.DB, branch *tccv1.Branch, letter string) string {
	phase := map[byte]tcc.Phase{'T': tcc.Try, 'C': tcc.Confirm, 'X': tcc.Cancel}[letter[0]]
	ran := false
	err := db.Write(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
		ran = false
		return tcc.Barrier{}.Do(ctx, tx, branch, phase, func(context.Context, *sql.Tx, *tccv1.Branch) error {
			ran = true
			if strings.HasSuffix(letter, "!") {
				return errWork
			}
			return nil
		})
	})
	return outcome(ran, err)
}

func outcome(ran bool, err error) string {
	for sentinel, name := range map[error]string{
		errWork: "failed", tcc.ErrCancelled: "cancelled", tcc.ErrConfirmed: "confirmed",
		tcc.ErrNotTried: "untried", tcc.ErrAction: "other action",
	} {
		if errors.Is(err, sentinel) {
			return name
		}
	}
	switch {
	case err != nil:
		return err.Error()
	case ran:
		return "run"
	}
	return "repeat"
}

func TestBranchesDoNotMeet(t *testing.T) {
	databasetest.Each(t, "kit", func(t *testing.T, db *database.DB) {
		// One id is a prefix of the other, or only tenant or branch differ.
		for _, branch := range []*tccv1.Branch{
			{Xid: "order-10", BranchId: "b", TenantId: "main", Action: "pay"},
			{Xid: "order-100", BranchId: "b", TenantId: "main", Action: "pay"},
			{Xid: "order-10", BranchId: "c", TenantId: "main", Action: "pay"},
			{Xid: "order-10", BranchId: "b", TenantId: "other", Action: "pay"},
		} {
			if got := play(t, db, branch, "T"); got != "run" {
				t.Errorf("%v: %s", branch, got)
			}
		}
	})
}

func TestBranchKeepsItsAction(t *testing.T) {
	databasetest.Each(t, "kit", func(t *testing.T, db *database.DB) {
		pay, refund := branchOf("1"), branchOf("1")
		refund.Action = "refund"
		play(t, db, pay, "T")
		for _, letter := range []string{"T", "C", "X"} {
			if got := play(t, db, refund, letter); got != "other action" {
				t.Errorf("%s: %s", letter, got)
			}
		}
		if got := play(t, db, pay, "C"); got != "run" {
			t.Errorf("C: %s", got)
		}
	})
}
