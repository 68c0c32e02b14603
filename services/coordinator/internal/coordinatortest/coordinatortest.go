// Package coordinatortest runs a coordinator for tests: its real runner on a
// SQLite database of its own, without a broker. It is for tests only.
package coordinatortest

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/backlot-video/backlot/kit/database"
	"github.com/backlot-video/backlot/kit/database/databasetest"
	"github.com/backlot-video/backlot/services/coordinator/internal/runner"
	"github.com/backlot-video/backlot/services/coordinator/internal/store"
	backlotsql "github.com/backlot-video/backlot/sql"
)

// Start runs one until the test ends. Branches are called as often as attempts
// says, with short waits.
func Start(t *testing.T, participants runner.Participants, attempts int) *runner.Runner {
	t.Helper()
	db := databasetest.Open(t, databasetest.Config(t, database.SQLite, "coordinator"), backlotsql.Migrations("coordinator"))
	r := runner.New(store.New(db, store.Config{}), participants, runner.Config{
		Attempts: attempts, CallTimeout: 2 * time.Second, NewID: uuid.NewString,
		FirstBackoff: time.Millisecond, MostBackoff: 2 * time.Millisecond, DrainTimeout: 10 * time.Millisecond,
	})
	ctx, cancel := context.WithCancel(context.Background())
	ready, done := make(chan struct{}), make(chan error, 1)
	go func() { done <- r.Run(ctx, func() { close(ready) }) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	select {
	case <-ready:
	case err := <-done:
		done <- err
		t.Fatal("the coordinator has ended")
	}
	return r
}
