package database

import "context"

type hooksKey struct{}

type hooks struct{ all []func() }

// AfterCommit has fn called once the transaction whose context ctx is has
// committed, before its Write returns and in its goroutine. It reports false,
// and does nothing, where ctx is not that of a Write.
func AfterCommit(ctx context.Context, fn func()) bool {
	hooks, inside := ctx.Value(hooksKey{}).(*hooks)
	if inside {
		hooks.all = append(hooks.all, fn)
	}
	return inside
}

func (h *hooks) reset() { h.all = nil }

func (h *hooks) run() {
	for _, fn := range h.all {
		fn()
	}
}
