// Package listing puts lists of configuration objects in force: listing.go
// follows them, load.go makes lists of them, good.go keeps their last good
// versions on disk.
//
// A list takes force only when all of it is there, is what its names say and
// its entries are good; until then the version before stays, and after a
// restart the last good one is used. What could not be reached is tried again.
package listing

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	rulesv1 "github.com/backlot-video/backlot/proto/gen/backlot/rules/v1"
	"github.com/backlot-video/backlot/services/rules/internal/catalog"
	"github.com/backlot-video/backlot/services/rules/internal/part"
	"github.com/backlot-video/backlot/services/rules/list"
)

// minRetry and maxRetry bound the wait before a list that could not be reached
// is tried again; it doubles.
const (
	minRetry = time.Second
	maxRetry = time.Minute
)

// Config has what a Loader needs.
type Config struct {
	Catalog *catalog.Catalog
	Store   *part.Store
	Log     *slog.Logger
	// Dir keeps the last good versions.
	Dir string
	// Limits of a list; how entries match is the list's affair.
	Limits list.Config
}

// Loader puts lists in force one after the other. Put and Delete are safe for
// concurrent use; one goroutine at a time may Settle or Run.
type Loader struct {
	config  Config
	changed chan struct{} // holds one token while something is to do

	mu     sync.Mutex
	wanted map[string]wanted // what is to do, by name of the list

	lists map[string]*state // of the goroutine that settles
}

// wanted is a version to load, or the end of a list.
type wanted struct {
	version string
	spec    *rulesv1.RuleList // nil: deleted
}

// state is what a Loader knows of one list.
type state struct {
	base    *list.List // of the parts, without changes on top
	baseKey [32]byte   // what base was made of
	inForce *rulesv1.RuleList
	good    *rulesv1.RuleList // last good version, while none is in force
	failed  wanted            // could not be reached, is tried again
	retryIn time.Duration
}

// New returns a loader without lists.
func New(config Config) *Loader {
	return &Loader{config: config, changed: make(chan struct{}, 1), wanted: map[string]wanted{}, lists: map[string]*state{}}
}

// Put asks for a version of a list. The spec must not change any more.
func (l *Loader) Put(name, version string, spec *rulesv1.RuleList) {
	l.ask(name, wanted{version, spec})
}

// Delete asks for the end of a list.
func (l *Loader) Delete(name string) { l.ask(name, wanted{}) }

func (l *Loader) ask(name string, w wanted) {
	l.mu.Lock()
	l.wanted[name] = w
	l.mu.Unlock()
	select {
	case l.changed <- struct{}{}:
	default:
	}
}

// Settle does what was asked for.
func (l *Loader) Settle(ctx context.Context) {
	l.mu.Lock()
	work := l.wanted
	l.wanted = map[string]wanted{}
	l.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(work)) {
		l.settle(ctx, name, work[name])
	}
	if len(work) > 0 {
		l.prune()
	}
}

// Run settles until ctx ends, and tries again what could not be reached.
func (l *Loader) Run(ctx context.Context) error {
	for {
		timer := time.NewTimer(l.nextRetry())
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-l.changed:
			timer.Stop()
		case <-timer.C:
			l.askAgain()
		}
		l.Settle(ctx)
	}
}

// nextRetry is the shortest wait of the lists that are tried again.
func (l *Loader) nextRetry() time.Duration {
	wait := 24 * time.Hour
	for _, s := range l.lists {
		if s.failed.spec != nil {
			wait = min(wait, s.retryIn)
		}
	}
	return wait
}

func (l *Loader) askAgain() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for name, s := range l.lists {
		if _, newer := l.wanted[name]; s.failed.spec != nil && !newer {
			l.wanted[name] = s.failed
		}
	}
}

func (l *Loader) settle(ctx context.Context, name string, w wanted) {
	if w.spec == nil {
		l.config.Catalog.DeleteList(name)
		delete(l.lists, name)
		l.forgetGood(name)
		return
	}
	s := l.lists[name]
	if s == nil {
		s = &state{}
		l.lists[name] = s
	}
	err := l.load(ctx, name, w, s)
	if err == nil {
		s.failed, s.retryIn, s.good = wanted{}, 0, nil
		l.saveGood(name, w)
		return
	}
	if ctx.Err() != nil {
		return
	}
	s.failed = wanted{}
	if !errors.Is(err, list.ErrEntry) && !errors.Is(err, list.ErrTooLarge) {
		s.failed, s.retryIn = w, min(max(2*s.retryIn, minRetry), maxRetry)
	}
	if s.inForce == nil {
		l.loadGood(ctx, name, s)
	}
	l.config.Catalog.RefuseList(name, w.version, err)
}
