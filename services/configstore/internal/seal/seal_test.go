package seal

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func ring(t *testing.T, fill ...byte) *Ring {
	t.Helper()
	var keys [][]byte
	for _, b := range fill {
		keys = append(keys, bytes.Repeat([]byte{b}, keyBytes))
	}
	r, err := NewRing(keys...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestValueOpensAtItsPlaceAlone(t *testing.T) {
	old, both, other := ring(t, 1), ring(t, 2, 1), ring(t, 3)
	at := Place{"/a/b", 3}
	sealed, err := old.Seal(old.Newest(), at, []byte("planted secret"))
	if err != nil || bytes.Contains(sealed, []byte("planted")) {
		t.Fatalf("%q, %v", sealed, err)
	}
	if value, err := both.Open(at, sealed); err != nil || string(value) != "planted secret" {
		t.Errorf("with a newer key in front: %q, %v", value, err)
	}
	if _, err := other.Open(at, sealed); !errors.Is(err, ErrKey) {
		t.Errorf("without the key: %v", err)
	}
	for _, elsewhere := range []Place{{"/a/c", 3}, {"/a/b", 2}, {"/a/b", 4}} {
		if _, err := old.Open(elsewhere, sealed); !errors.Is(err, ErrDamaged) {
			t.Errorf("at %v: %v", elsewhere, err)
		}
	}
	again, err := old.Seal(old.Newest(), at, []byte("planted secret"))
	if err != nil || bytes.Equal(again, sealed) {
		t.Errorf("the same twice: %v", err)
	}
}

func TestEveryBitCounts(t *testing.T) {
	r, at := ring(t, 1), Place{"/a", 1}
	sealed, err := r.Seal(r.Newest(), at, []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	for n := range sealed {
		bad := bytes.Clone(sealed)
		bad[n] ^= 1
		if _, err := r.Open(at, bad); !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrKey) {
			t.Errorf("byte %d changed: %v", n, err)
		}
		if _, err := r.Open(at, sealed[:n]); err == nil {
			t.Errorf("opens cut at %d", n)
		}
	}
}

func TestKeyFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "folder", "secret.key")
	if _, err := Load(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
	first, err := Make(path)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := Make(path); err != nil || again.Newest() != first.Newest() {
		t.Errorf("made twice: %v", err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	id, err := Add(path)
	if err != nil {
		t.Fatal(err)
	}
	both, err := Load(path)
	if err != nil || both.Newest() != id || !both.Has(first.Newest()) || len(both.IDs()) != 2 {
		t.Errorf("after adding: %v, %v", both.IDs(), err)
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("readable by others: %v", err)
	}
	for text, want := range map[string]string{
		"":                                   "no key",
		"# nothing\n":                        "no key",
		"abc\n":                              "line 1 is no key",
		"\n" + strings.Repeat("A", 42) + "=": "line 2 is no key",
		newLine() + "\n#\nsecret-in-it":      "line 3 is no key",
	} {
		bad := filepath.Join(t.TempDir(), "bad")
		if err := os.WriteFile(bad, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(bad); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret-in-it") {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	line := newLine()
	if err := os.WriteFile(path, []byte(line+"\n"+line), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path); err == nil || !strings.Contains(err.Error(), "twice") {
		t.Errorf("the same key twice: %v", err)
	}
}

func FuzzOpen(f *testing.F) {
	r, err := NewRing(bytes.Repeat([]byte{1}, keyBytes))
	if err != nil {
		f.Fatal(err)
	}
	at := Place{"/a", 1}
	sealed, err := r.Seal(r.Newest(), at, []byte("x"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sealed)
	f.Add([]byte{format})
	f.Fuzz(func(t *testing.T, data []byte) {
		if value, err := r.Open(at, data); err == nil && string(value) != "x" {
			t.Errorf("forged %q", value)
		}
	})
}

func FuzzKeyFile(f *testing.F) {
	f.Add("# x\n" + strings.Repeat("A", 43) + "=\n")
	f.Fuzz(func(t *testing.T, text string) {
		keys, lines, err := parse(text)
		if err == nil && (len(keys) == 0 || len(keys) != len(lines)) {
			t.Errorf("%d keys on %d lines", len(keys), len(lines))
		}
	})
}
