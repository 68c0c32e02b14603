package listing

import (
	"context"
	"crypto/sha256"
	"fmt"
	"sync"
	"time"

	rulesv1 "github.com/backlot-video/backlot/proto/gen/backlot/rules/v1"
	"github.com/backlot-video/backlot/services/rules/internal/part"
	"github.com/backlot-video/backlot/services/rules/list"
)

// ahead is how many parts are read before their turn.
const ahead = 8

// load makes the list of a version and puts it in force.
func (l *Loader) load(ctx context.Context, name string, w wanted, s *state) error {
	start := time.Now()
	config := l.config.Limits
	config.Match = MatchOf(w.spec.GetMatch())
	built, err := l.build(ctx, config, w.spec, s)
	if err != nil {
		return err
	}
	s.inForce = w.spec
	l.config.Catalog.SetList(name, w.version, built, time.Since(start))
	return nil
}

func (l *Loader) build(ctx context.Context, config list.Config, spec *rulesv1.RuleList, s *state) (*list.List, error) {
	if len(spec.GetParts()) == 0 {
		s.base = nil
		return list.Make(config, spec.GetEntries())
	}
	key := keyOf(spec)
	if s.base == nil || s.baseKey != key {
		base, err := l.fromParts(ctx, config, spec.GetParts())
		if err != nil {
			return nil, err
		}
		s.base, s.baseKey = base, key
	}
	return s.base.With(spec.GetEntries(), spec.GetRemoved())
}

// keyOf names what the large part of a list is made of.
func keyOf(spec *rulesv1.RuleList) [32]byte {
	h := sha256.New()
	_, _ = fmt.Fprintln(h, spec.GetMatch())
	for _, p := range spec.GetParts() {
		_, _ = h.Write(p.GetSha256())
	}
	return [32]byte(h.Sum(nil))
}

// read is a part's text, or why there is none.
type read struct {
	text []byte
	err  error
}

// fromParts reads parts, several at a time, and adds them in order.
func (l *Loader) fromParts(ctx context.Context, config list.Config, parts []*rulesv1.ListPart) (*list.List, error) {
	b := list.NewBuilder(config)
	entries, size := 0, 0
	for _, p := range parts {
		entries += int(p.GetEntries())
		size += int(p.GetBytes())
	}
	if err := b.Fits(entries, int64(size-entries)); err != nil {
		return nil, err
	}
	b.Grow(entries, size)

	ctx, cancel := context.WithCancel(ctx)
	var group sync.WaitGroup
	defer group.Wait()
	defer cancel()
	coming := make([]chan read, ahead) // of part i at i%ahead
	buffers := make([][]byte, ahead)
	begin := func(i int) {
		slot := i % ahead
		coming[slot] = make(chan read, 1)
		group.Go(func() {
			text, err := l.config.Store.Read(ctx, parts[i], buffers[slot])
			coming[slot] <- read{text, err}
		})
	}
	for i := range min(ahead, len(parts)) {
		begin(i)
	}
	for i, p := range parts {
		got := <-coming[i%ahead]
		if got.err != nil {
			return nil, got.err
		}
		if err := part.AddTo(b, p, got.text); err != nil {
			return nil, err
		}
		buffers[i%ahead] = got.text
		if i+ahead < len(parts) {
			begin(i + ahead)
		}
	}
	return b.Build()
}

// MatchOf is how entries of a configuration object match.
func MatchOf(m rulesv1.RuleList_Match) list.Match {
	switch m {
	case rulesv1.RuleList_MATCH_EXACT:
		return list.Exact
	case rulesv1.RuleList_MATCH_PREFIX:
		return list.Prefix
	case rulesv1.RuleList_MATCH_CIDR:
		return list.CIDR
	case rulesv1.RuleList_MATCH_UNSPECIFIED:
	}
	return list.Auto
}

// MatchTo is MatchOf back.
func MatchTo(m list.Match) rulesv1.RuleList_Match {
	switch m {
	case list.Exact:
		return rulesv1.RuleList_MATCH_EXACT
	case list.Prefix:
		return rulesv1.RuleList_MATCH_PREFIX
	case list.CIDR:
		return rulesv1.RuleList_MATCH_CIDR
	case list.Auto:
	}
	return rulesv1.RuleList_MATCH_UNSPECIFIED
}

// prune deletes copies on disk of parts that no list needs any more.
func (l *Loader) prune() {
	used := map[part.Name]bool{}
	for _, s := range l.lists {
		for _, spec := range []*rulesv1.RuleList{s.inForce, s.good, s.failed.spec} {
			for _, p := range spec.GetParts() {
				used[part.NameOf(p)] = true
			}
		}
	}
	if err := l.config.Store.Keep(used); err != nil {
		l.config.Log.Error("old parts of lists cannot be deleted", "err", err)
	}
}
