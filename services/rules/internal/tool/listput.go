package tool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	rulesv1 "github.com/backlot-video/backlot/proto/gen/backlot/rules/v1"
	"github.com/backlot-video/backlot/services/rules/internal/listing"
	"github.com/backlot-video/backlot/services/rules/internal/part"
	"github.com/backlot-video/backlot/services/rules/list"
)

const (
	// shortEntries and shortBytes bound the lists that stand in their
	// configuration object as a whole.
	shortEntries = 2000
	shortBytes   = 64 << 10

	partBatch  = 64 // parts that are packed and asked for at a time
	partAtOnce = 4  // uploads at a time
)

// put releases a list of a file.
func (l *lister) put(ctx context.Context, name, path string) error {
	built, err := l.readFile(path)
	if err != nil {
		return err
	}
	spec := &rulesv1.RuleList{Match: listing.MatchTo(built.Match())}
	if size := 0; built.Len() <= shortEntries {
		for entry := range built.All() {
			spec.Entries = append(spec.Entries, entry)
			size += len(entry)
		}
		if size > shortBytes {
			spec.Entries = nil
		}
	}
	if len(spec.GetEntries()) == 0 {
		if spec.Parts, err = l.upload(ctx, built); err != nil {
			return err
		}
	}
	return l.release(ctx, name, spec, 0)
}

func (l *lister) readFile(path string) (*list.List, error) {
	match, _ := list.ParseMatch(l.match)
	source, size := l.std.In, int64(0)
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer func() { _ = file.Close() }()
		if info, err := file.Stat(); err == nil {
			size = info.Size()
		}
		source = io.Reader(file)
	}
	built, err := list.Read(source, list.Config{Match: match}, size)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return built, nil
}

// packed is a part ready to be uploaded.
type packed struct {
	part *rulesv1.ListPart
	zstd []byte
}

// upload keeps those parts of a list that are not kept yet, and returns all.
func (l *lister) upload(ctx context.Context, built *list.List) ([]*rulesv1.ListPart, error) {
	var parts []*rulesv1.ListPart
	var batch []packed
	uploaded := 0
	flush := func() error {
		sent, err := l.uploadMissing(ctx, built.Match(), batch)
		uploaded += sent
		batch = batch[:0]
		if l.std.Colour {
			_, _ = fmt.Fprintf(l.std.Err, "\r%d parts, %d uploaded", len(parts), uploaded)
		}
		return err
	}
	for p, text := range part.Split(built.All()) {
		parts = append(parts, p)
		if batch = append(batch, packed{p, part.Pack(text)}); len(batch) == partBatch {
			if err := flush(); err != nil {
				return nil, err
			}
		}
	}
	err := flush()
	if l.std.Colour {
		_, _ = fmt.Fprintln(l.std.Err)
	}
	if err == nil {
		_, err = fmt.Fprintf(l.std.Out, "%d parts, %d of them new\n", len(parts), uploaded)
	}
	return parts, err
}

// uploadMissing returns how many parts it uploaded.
func (l *lister) uploadMissing(ctx context.Context, match list.Match, batch []packed) (int, error) {
	if len(batch) == 0 {
		return 0, nil
	}
	ask := &rulesv1.FindPartsRequest{}
	for _, p := range batch {
		ask.Sha256 = append(ask.Sha256, p.part.GetSha256())
	}
	answer, err := l.lists().FindParts(ctx, ask)
	if err != nil {
		return 0, fmt.Errorf("find parts: %w", err)
	}
	missing := map[string]bool{}
	for _, sum := range answer.GetMissing() {
		missing[string(sum)] = true
	}
	var group sync.WaitGroup
	limit := make(chan struct{}, partAtOnce)
	faults := make([]error, len(batch))
	for i, p := range batch {
		if !missing[string(p.part.GetSha256())] {
			continue
		}
		limit <- struct{}{}
		group.Go(func() {
			defer func() { <-limit }()
			_, err := l.lists().PutPart(ctx, &rulesv1.PutPartRequest{Part: p.part, Match: listing.MatchTo(match), Zstd: p.zstd})
			if err != nil {
				faults[i] = fmt.Errorf("put part %.12s: %w", part.NameOf(p.part), err)
			}
		})
	}
	group.Wait()
	return len(missing), errors.Join(faults...)
}
