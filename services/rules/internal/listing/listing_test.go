package listing

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gocloud.dev/blob"
	"gocloud.dev/blob/memblob"

	rulesv1 "github.com/backlot-video/backlot/proto/gen/backlot/rules/v1"
	"github.com/backlot-video/backlot/services/rules/internal/catalog"
	"github.com/backlot-video/backlot/services/rules/internal/part"
	"github.com/backlot-video/backlot/services/rules/list"
)

// service is one process's worth of lists.
type service struct {
	t *testing.T
	*Loader
	catalog *catalog.Catalog
	store   *part.Store
}

func start(t *testing.T, bucket *blob.Bucket, dir string) *service {
	t.Helper()
	store, err := part.NewStore(part.Opened(bucket), "", filepath.Join(dir, "parts"))
	if err != nil {
		t.Fatal(err)
	}
	c := catalog.New(catalog.Config{Dir: dir, Clock: time.Now})
	return &service{t, New(Config{Catalog: c, Store: store, Log: slog.New(slog.DiscardHandler), Dir: dir, Limits: list.Config{MaxEntries: 400_000}}), c, store}
}

// upload keeps the content of a list and returns its configuration object.
func (s *service) upload(entries []string) *rulesv1.RuleList {
	s.t.Helper()
	spec := &rulesv1.RuleList{Match: rulesv1.RuleList_MATCH_EXACT}
	for p, text := range part.Split(slices.Values(entries)) {
		spec.Parts = append(spec.Parts, p)
		if err := s.store.Put(s.t.Context(), p, part.Pack(text)); err != nil {
			s.t.Fatal(err)
		}
	}
	return spec
}

func (s *service) put(version string, spec *rulesv1.RuleList) {
	s.t.Helper()
	s.Put("cards", version, spec)
	s.Settle(s.t.Context())
}

// want checks which version is in force, what is in it and whether the newest
// was refused.
func (s *service) want(version string, size int, rejected string, in, out string) {
	s.t.Helper()
	l, got, err := s.catalog.List("cards")
	if err != nil || got != version || l.Len() != size || !l.Has(in) || l.Has(out) {
		s.t.Fatalf("version %q, %v, %+v; want %q of %d with %q without %q", got, err, s.catalog.Lists(), version, size, in, out)
	}
	status := s.catalog.Lists()[0]
	if (status.Rejected == "") != (rejected == "") || !strings.Contains(status.Rejected, rejected) {
		s.t.Fatalf("rejected is %q, want %q", status.Rejected, rejected)
	}
}

func numbered(from, n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("card-%09d", from+i)
	}
	return out
}

func TestALongListIsLoadedAndChanged(t *testing.T) {
	bucket := memblob.OpenBucket(nil)
	s := start(t, bucket, t.TempDir())
	spec := s.upload(numbered(0, 100_000))
	if len(spec.GetParts()) < 3 {
		t.Fatalf("%d parts", len(spec.GetParts()))
	}
	s.put("1", spec)
	s.want("1", 100_000, "", "card-000099999", "card-000100000")

	// A change on top needs nothing of the bucket.
	empty(t, bucket)
	if err := os.RemoveAll(filepath.Join(s.config.Dir, "parts")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(s.config.Dir, "parts"), 0o700); err != nil {
		t.Fatal(err)
	}
	changed := &rulesv1.RuleList{Match: spec.GetMatch(), Parts: spec.GetParts(), Entries: []string{"new"}, Removed: []string{"card-000000007", "none"}}
	s.put("2", changed)
	s.want("2", 100_000, "", "new", "card-000000007")

	s.put("3", &rulesv1.RuleList{Entries: []string{"only"}})
	s.want("3", 1, "", "only", "new")
	s.Delete("cards")
	s.Settle(t.Context())
	if _, _, err := s.catalog.List("cards"); err == nil || len(s.catalog.Lists()) != 0 {
		t.Error("it is still there")
	}
}

func empty(t *testing.T, bucket *blob.Bucket) {
	t.Helper()
	objects := bucket.List(nil)
	for {
		object, err := objects.Next(t.Context())
		if err != nil {
			return
		}
		if err := bucket.Delete(t.Context(), object.Key); err != nil {
			t.Fatal(err)
		}
	}
}

func TestABadListNeverReplacesAGoodOne(t *testing.T) {
	bucket := memblob.OpenBucket(nil)
	s := start(t, bucket, t.TempDir())
	s.put("1", s.upload(numbered(0, 10)))
	damaged := s.upload(numbered(10, 10))
	damaged.Parts[0].Entries = 11
	text := []byte("card\n\ncard\n")
	emptyEntry := &rulesv1.RuleList{}
	for p := range part.Split(slices.Values([]string{"card", "", "card"})) {
		emptyEntry.Parts = append(emptyEntry.Parts, p)
		if err := s.store.Put(t.Context(), p, part.Pack(text)); err != nil {
			t.Fatal(err)
		}
	}
	other := s.upload(numbered(30, 10))
	key := "parts/" + part.NameOf(other.GetParts()[0]).String() + ".zst"
	if err := bucket.WriteAll(t.Context(), key, part.Pack([]byte("something else\n")), nil); err != nil {
		t.Fatal(err)
	}
	huge := s.upload(numbered(50, 10))
	huge.Parts[0].Entries = 400_001
	for want, spec := range map[string]*rulesv1.RuleList{
		"part of a list is missing":                {Parts: []*rulesv1.ListPart{{Sha256: make([]byte, 32), Bytes: 1, Entries: 1}}},
		"10 entries, expected 11":                  damaged,
		"line 2: list: bad entry":                  emptyEntry,
		"part of a list is not what its name says": other,
		"400001 entries, at most 400000":           huge,
		"entry 2: list: bad entry: \"home\"":       {Match: rulesv1.RuleList_MATCH_CIDR, Entries: []string{"10.0.0.0/8", "home"}},
	} {
		s.put("2", spec)
		s.want("1", 10, want, "card-000000003", "card-000000010")
	}
	s.put("3", s.upload(numbered(5, 10)))
	s.want("3", 10, "", "card-000000010", "card-000000003")
}

func TestARestartNeedsNoBucket(t *testing.T) {
	bucket, dir := memblob.OpenBucket(nil), t.TempDir()
	s := start(t, bucket, dir)
	spec := s.upload(numbered(0, 50_000))
	s.put("1", spec)

	closed, err := part.NewStore(func(context.Context) (*blob.Bucket, error) { return nil, errors.New("no bucket") }, "", filepath.Join(dir, "parts"))
	if err != nil {
		t.Fatal(err)
	}
	again := start(t, nil, dir)
	again.config.Store = closed
	again.put("1", spec)
	again.want("1", 50_000, "", "card-000000003", "card-000050000")
	again.put("2", &rulesv1.RuleList{Parts: []*rulesv1.ListPart{{Sha256: make([]byte, 32), Bytes: 1, Entries: 1}}})
	again.want("1", 50_000, "no bucket", "card-000000003", "card-000050000")

	// The newest version cannot be had: the last good one serves.
	third := start(t, memblob.OpenBucket(nil), dir)
	third.put("2", &rulesv1.RuleList{Parts: []*rulesv1.ListPart{{Sha256: make([]byte, 32), Bytes: 1, Entries: 1}}})
	third.want("1", 50_000, "part of a list is missing", "card-000000003", "card-000050000")

	// Nor can it where its file is damaged, which is no reason to use it.
	path := third.goodPath("cards")
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	raw[40]++
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	fourth := start(t, memblob.OpenBucket(nil), dir)
	fourth.put("2", &rulesv1.RuleList{Parts: []*rulesv1.ListPart{{Sha256: make([]byte, 32), Bytes: 1, Entries: 1}}})
	if _, _, err := fourth.catalog.List("cards"); err == nil {
		t.Error("a damaged version is in force")
	}
}

func TestOldPartsAreDeletedFromTheDisk(t *testing.T) {
	s := start(t, memblob.OpenBucket(nil), t.TempDir())
	s.put("1", s.upload(numbered(0, 50_000)))
	second := s.upload(numbered(100_000, 50_000))
	s.put("2", second)
	files, err := os.ReadDir(filepath.Join(s.config.Dir, "parts"))
	if err != nil || len(files) != len(second.GetParts()) {
		t.Errorf("%d copies of %d parts, %v", len(files), len(second.GetParts()), err)
	}
}

func TestWhatCannotBeReachedIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bucket := memblob.OpenBucket(nil)
		s := start(t, bucket, t.TempDir())
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- s.Run(ctx) }()
		spec := s.upload(numbered(0, 10))
		empty(t, bucket)
		s.Put("cards", "1", spec)
		<-time.After(10 * time.Second)
		synctest.Wait()
		if _, _, err := s.catalog.List("cards"); err == nil || len(s.catalog.Lists()) != 1 || s.catalog.Lists()[0].Rejected == "" {
			t.Errorf("status %+v", s.catalog.Lists())
		}
		s.upload(numbered(0, 10))
		<-time.After(maxRetry + time.Second)
		synctest.Wait()
		s.want("1", 10, "", "card-000000003", "card-000000010")
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}
