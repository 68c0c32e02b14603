package part

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gocloud.dev/blob/fileblob"
	"gocloud.dev/blob/memblob"
	"google.golang.org/protobuf/proto"

	rulesv1 "github.com/backlot-video/backlot/proto/gen/backlot/rules/v1"
	"github.com/backlot-video/backlot/services/rules/list"
)

func entries(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("entry %d", i*i)
	}
	return out
}

// split cuts entries and checks that the parts together are them.
func split(t *testing.T, all []string) map[Name]string {
	t.Helper()
	parts := map[Name]string{}
	var text bytes.Buffer
	for p, content := range Split(slices.Values(all)) {
		if len(content) != int(p.GetBytes()) || bytes.Count(content, []byte{'\n'}) != int(p.GetEntries()) || len(content) > MaxBytes {
			t.Fatalf("%d bytes: %v", len(content), p)
		}
		if err := Check(p, list.Exact, Pack(content)); err != nil {
			t.Fatal(err)
		}
		text.Write(content)
		parts[NameOf(p)] = string(content)
	}
	if want := strings.Join(all, "\n"); strings.TrimSuffix(text.String(), "\n") != want {
		t.Fatal("the parts are not the list")
	}
	return parts
}

func TestAChangeLeavesOtherPartsAsTheyAre(t *testing.T) {
	all := entries(200_000)
	before := split(t, all)
	if len(before) < 5 || len(before) > 40 {
		t.Errorf("%d parts", len(before))
	}
	after := split(t, slices.Insert(slices.Clone(all), 100_000, "a new one"))
	same := 0
	for name := range after {
		if _, kept := before[name]; kept {
			same++
		}
	}
	if len(after)-same > 2 {
		t.Errorf("one more entry changed %d of %d parts", len(after)-same, len(after))
	}
	if len(split(t, nil)) != 0 || len(split(t, []string{"one"})) != 1 {
		t.Error("short lists")
	}
	split(t, slices.Repeat([]string{strings.Repeat("x", 250)}, 20_000)) // nothing says where to cut
}

func one(t *testing.T, all ...string) (*rulesv1.ListPart, []byte) {
	t.Helper()
	for p, content := range Split(slices.Values(all)) {
		return p, Pack(content)
	}
	return nil, nil
}

func TestCheckRefusesWhatIsNotWhatItsNameSays(t *testing.T) {
	good, packed := one(t, "a", "b")
	other, _ := one(t, "a", "c")
	change := func(change func(*rulesv1.ListPart)) *rulesv1.ListPart {
		p := proto.CloneOf(good)
		change(p)
		return p
	}
	for name, test := range map[string]struct {
		part   *rulesv1.ListPart
		packed []byte
		match  list.Match
		want   error
	}{
		"good":           {good, packed, list.Exact, nil},
		"another name":   {other, packed, list.Exact, ErrDamaged},
		"no Zstandard":   {good, []byte("a\nb\n"), list.Exact, ErrDamaged},
		"cut off":        {good, packed[:len(packed)-1], list.Exact, ErrDamaged},
		"a short name":   {change(func(p *rulesv1.ListPart) { p.Sha256 = p.GetSha256()[:31] }), packed, list.Exact, ErrDamaged},
		"other size":     {change(func(p *rulesv1.ListPart) { p.Bytes++ }), packed, list.Exact, ErrDamaged},
		"other count":    {change(func(p *rulesv1.ListPart) { p.Entries++ }), packed, list.Exact, ErrDamaged},
		"far too large":  {good, Pack(make([]byte, 50<<20)), list.Exact, ErrDamaged},
		"a bad entry":    {good, packed, list.CIDR, list.ErrEntry},
		"nothing at all": {good, nil, list.Exact, ErrDamaged},
	} {
		if err := Check(test.part, test.match, test.packed); !errors.Is(err, test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestStore(t *testing.T) {
	ctx := t.Context()
	bucket := memblob.OpenBucket(nil)
	dir := filepath.Join(t.TempDir(), "parts")
	s, err := NewStore(Opened(bucket), "", dir)
	if err != nil {
		t.Fatal(err)
	}
	p, packed := one(t, "a", "b")
	if _, err := s.Read(ctx, p, nil); !errors.Is(err, ErrMissing) {
		t.Errorf("before it is put: %v", err)
	}
	if missing, err := s.Missing(ctx, []Name{NameOf(p), {}}); err != nil || len(missing) != 2 {
		t.Errorf("missing are %v, %v", missing, err)
	}
	if err := s.Put(ctx, p, packed); err != nil {
		t.Fatal(err)
	}
	if missing, err := s.Missing(ctx, []Name{NameOf(p), {}}); err != nil || !slices.Equal(missing, []Name{{}}) {
		t.Errorf("missing are %v, %v", missing, err)
	}
	read := func(why string) {
		t.Helper()
		if text, err := s.Read(ctx, p, make([]byte, 0, 100)); err != nil || string(text) != "a\nb\n" {
			t.Errorf("%s: %q, %v", why, text, err)
		}
	}
	read("from the bucket")
	if err := os.WriteFile(s.copyPath(NameOf(p)), packed[1:], 0o600); err != nil {
		t.Fatal(err)
	}
	read("with a damaged copy")
	damaged, _ := one(t, "c")
	if err := s.Put(ctx, damaged, packed); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Read(ctx, damaged, nil); !errors.Is(err, ErrDamaged) {
		t.Errorf("what is not what its name says: %v", err)
	}
	if missing, err := s.Missing(ctx, []Name{NameOf(damaged)}); err != nil || len(missing) != 1 {
		t.Errorf("a damaged part is not missing: %v, %v", missing, err)
	}
	wrong := proto.CloneOf(p)
	wrong.Bytes++
	if err := os.Remove(s.copyPath(NameOf(p))); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Read(ctx, wrong, nil); !errors.Is(err, ErrDamaged) {
		t.Errorf("with a wrong size: %v", err)
	}
	read("after a wrong size was expected of it")
	if err := s.Keep(map[Name]bool{NameOf(p): true}); err != nil {
		t.Error(err)
	}
	if err := bucket.Delete(ctx, key(NameOf(p))); err != nil {
		t.Fatal(err)
	}
	read("from the copy")
	if err := s.Keep(nil); err != nil {
		t.Error(err)
	}
	if _, err := s.Read(ctx, p, nil); !errors.Is(err, ErrMissing) {
		t.Errorf("after its end: %v", err)
	}
}

func TestALocalBucketIsDurable(t *testing.T) {
	local := t.TempDir()
	bucket, err := fileblob.OpenBucket(local, &fileblob.Options{Metadata: fileblob.MetadataDontWrite, NoTempDir: true})
	if err != nil {
		t.Fatal(err)
	}
	s, err := NewStore(Opened(bucket), local, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	p, packed := one(t, "a", "b")
	if err := s.Put(t.Context(), p, packed); err != nil {
		t.Fatal(err)
	}
	if text, err := s.Read(t.Context(), p, nil); err != nil || string(text) != "a\nb\n" {
		t.Errorf("%q, %v", text, err)
	}
}

func FuzzCheck(f *testing.F) {
	_, packed := one(&testing.T{}, "a", "b")
	f.Add(packed)
	f.Fuzz(func(t *testing.T, packed []byte) {
		good, _ := one(t, "a", "b")
		if text, err := Unpack(good, packed, nil); err == nil && string(text) != "a\nb\n" {
			t.Errorf("%q", text)
		}
	})
}
