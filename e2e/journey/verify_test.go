package journey

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/backlot-video/backlot/e2e/internal/check"
	"github.com/backlot-video/backlot/e2e/internal/client"
	"github.com/backlot-video/backlot/e2e/internal/cluster"
)

// settleTime is how long what was cut short may take to end.
const settleTime = time.Minute

// verify checks books, sales and videos of an installation that is up. alive
// are the processes that may have FFmpeg below them.
func verify(t *testing.T, node *cluster.Node, alive ...int) *check.State {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), settleTime+time.Minute)
	defer cancel()
	operator, err := client.Operator(ctx, node.URL(), node.OperatorKey())
	if err != nil {
		t.Fatal(err)
	}
	state, faults, err := check.Settle(ctx, operator, settleTime)
	if err != nil {
		t.Fatalf("read the books: %v", err)
	}
	faults = append(faults, check.Playable(ctx, operator, state.Videos)...)
	chain, err := check.Chain(ctx, filepath.Join(node.Dir, "settlement", "settlement.db"))
	if err != nil {
		t.Fatalf("read the chain: %v", err)
	}
	faults = append(append(faults, chain...), check.Orphans(node.Dir, alive...)...)
	for _, fault := range faults {
		t.Error(fault)
	}
	t.Logf("checked %d transfers, %d accounts, %d orders, %d entitlements, %d videos, %d transactions",
		len(state.Transfers), len(state.Accounts), len(state.Orders), len(state.Entitlements), len(state.Videos), len(state.Transactions))
	return state
}
