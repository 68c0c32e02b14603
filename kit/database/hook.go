package database

import "context"

type hooksKey struct{}

type hooks struct{ all []func() }

// Hooked is for who commits a transaction other than by Write: AfterCommit with
// the context has its function called by run.
func Hooked(ctx context.Context) (inside context.Context, run func()) {
	hooks := &hooks{}
	return context.WithValue(ctx, hooksKey{}, hooks), hooks.run
}

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
