package settlement

import (
	"github.com/backlot-video/backlot/kit/database"
	"github.com/backlot-video/backlot/services/settlement/internal/store"
)

// SortSoon has ledgers sort their moves when there are so many, so many runs in a
// batch.
func SortSoon(moves, runs int) {
	newStore = func(db *database.DB) *store.Store { return store.New(db).SortAfter(moves, runs) }
}
