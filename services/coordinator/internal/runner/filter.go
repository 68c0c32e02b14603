package runner

import (
	"context"
	"strings"
	"time"

	"github.com/backlot-video/backlot/services/coordinator/internal/tcc"
)

// Filter says which transactions to list. Zero fields let all through.
type Filter struct {
	States      []tcc.State
	XIDPrefix   string        // taken literally
	Service     string        // of a branch, or the beginning of its HTTP addresses
	Problem     string        // in the transaction's problem or a branch's, whatever the case
	OlderThan   time.Duration // since it began
	YoungerThan time.Duration
}

// Bounds of one List.
const (
	listBatch = 200
	listScan  = 10_000 // transactions looked at
)

// List returns a page of a tenant's transactions, newest first, and where the
// next one goes on: nowhere for the zero Cursor. It looks at a bounded number
// of transactions, so a page may be short although there are more.
func (r *Runner) List(ctx context.Context, tenantID string, filter Filter, before Cursor, limit int) ([]Status, Cursor, error) {
	now := r.now()
	if latest := now.Add(-filter.OlderThan); filter.OlderThan > 0 && (before.CreatedAt.IsZero() || before.CreatedAt.After(latest)) {
		before = Cursor{CreatedAt: latest}
	}
	batch := limit
	if filter.looks() {
		batch = max(limit, listBatch)
	}
	page := make([]Status, 0, limit)
	for scanned := 0; scanned < listScan; scanned += batch {
		found, err := r.store.List(ctx, tenantID, filter.States, before, batch)
		if err != nil {
			return nil, Cursor{}, err
		}
		for _, logged := range found {
			if filter.YoungerThan > 0 && now.Sub(logged.CreatedAt) >= filter.YoungerThan {
				return page, Cursor{}, nil
			}
			before = Cursor{CreatedAt: logged.CreatedAt, Key: logged.Key}
			status, err := r.stand(logged)
			if err != nil {
				return nil, Cursor{}, err
			}
			if !filter.lets(status) {
				continue
			}
			if page = append(page, status); len(page) == limit {
				return page, before, nil
			}
		}
		if len(found) < batch {
			return page, Cursor{}, nil
		}
	}
	return page, before, nil
}

// looks reports whether the filter has to look at what the store lists.
func (f Filter) looks() bool { return f.XIDPrefix != "" || f.Service != "" || f.Problem != "" }

func (f Filter) lets(status Status) bool {
	return strings.HasPrefix(status.XID, f.XIDPrefix) && f.letsService(status) && f.letsProblem(status)
}

func (f Filter) letsService(status Status) bool {
	if f.Service == "" {
		return true
	}
	for _, branch := range status.Spec.Branches {
		if branch.Service == f.Service {
			return true
		}
		if branch.HTTP == nil {
			continue
		}
		for phase := tcc.Try; phase <= tcc.Cancel; phase++ {
			if call := branch.HTTP.Of(phase); call != nil && strings.HasPrefix(call.URL, f.Service) {
				return true
			}
		}
	}
	return false
}

func (f Filter) letsProblem(status Status) bool {
	wanted := strings.ToLower(f.Problem)
	if strings.Contains(strings.ToLower(status.Problem), wanted) {
		return true
	}
	for _, branch := range status.Branches {
		if strings.Contains(strings.ToLower(branch.LastError), wanted) {
			return true
		}
	}
	return false
}
