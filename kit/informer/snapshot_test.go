package informer

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

var twoItems = []Item{
	{Namespace: "default", Name: "a", Spec: []byte{10, 1, 'x'}, Revision: 4, ReleaseID: "r1"},
	{Namespace: "other", Name: "b", Labels: map[string]string{"stage": "canary"}, Spec: []byte{}, Revision: 9},
}

func TestSnapshotRoundTrip(t *testing.T) {
	raw, err := encodeSnapshot("Word", twoItems, 12)
	if err != nil {
		t.Fatal(err)
	}
	items, revision, err := decodeSnapshot(raw, "Word")
	if err != nil || revision != 12 {
		t.Fatalf("revision %d, err %v", revision, err)
	}
	for n := range items {
		if len(items[n].Spec) == 0 {
			items[n].Spec = []byte{}
		}
	}
	if !reflect.DeepEqual(items, twoItems) {
		t.Errorf("got %+v", items)
	}
}

func TestDamagedSnapshotIsRefused(t *testing.T) {
	raw, err := encodeSnapshot("Word", twoItems, 12)
	if err != nil {
		t.Fatal(err)
	}
	for at := range raw {
		raw[at] ^= 1
		if _, _, err := decodeSnapshot(raw, "Word"); !errors.Is(err, errSnapshot) {
			t.Fatalf("bit flipped at %d: err = %v", at, err)
		}
		raw[at] ^= 1
		if _, _, err := decodeSnapshot(raw[:at], "Word"); !errors.Is(err, errSnapshot) {
			t.Fatalf("cut at %d: err = %v", at, err)
		}
	}
	if _, _, err := decodeSnapshot(raw, "Else"); !errors.Is(err, errSnapshot) {
		t.Errorf("snapshot of another kind: err = %v", err)
	}
}

func TestPreviousSnapshotServesWhereTheNewestIsDamaged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "words")
	for revision := int64(1); revision <= 2; revision++ {
		raw, err := encodeSnapshot("Word", twoItems, revision)
		if err != nil {
			t.Fatal(err)
		}
		if err := writeSnapshot(path, raw); err != nil {
			t.Fatal(err)
		}
	}
	if _, revision, err := readSnapshot(path, "Word"); err != nil || revision != 2 {
		t.Fatalf("revision %d, err %v", revision, err)
	}
	if err := os.Truncate(path, 60); err != nil {
		t.Fatal(err)
	}
	if _, revision, err := readSnapshot(path, "Word"); err != nil || revision != 1 {
		t.Fatalf("revision %d, err %v", revision, err)
	}
	if left, err := filepath.Glob(path + ".tmp-*"); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func FuzzDecodeSnapshot(f *testing.F) {
	raw, err := encodeSnapshot("Word", twoItems, 12)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw[snapshotHeader:], true)
	f.Add(raw, false)
	f.Add(raw[:snapshotHeader], false)
	f.Fuzz(func(t *testing.T, raw []byte, whole bool) {
		if whole { // a body under a checksum that holds
			sum := sha256.Sum256(raw)
			raw = bytes.Join([][]byte{[]byte(snapshotMagic), sum[:], raw}, nil)
		}
		items, revision, err := decodeSnapshot(raw, "Word")
		if err != nil {
			return
		}
		again, err := encodeSnapshot("Word", items, revision)
		if err != nil {
			t.Fatal(err)
		}
		if _, reached, err := decodeSnapshot(again, "Word"); err != nil || reached != revision {
			t.Fatalf("revision %d after %d, err %v", reached, revision, err)
		}
	})
}
