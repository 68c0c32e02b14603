package xds

import (
	"crypto/sha256"
	"testing"
)

func FuzzDecodeSnapshot(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{2, 8, 1})
	f.Fuzz(func(t *testing.T, body []byte) {
		sum := sha256.Sum256(body)
		s, err := decodeSnapshot(append(sum[:], body...))
		if err != nil {
			return
		}
		again, err := decodeSnapshot(encodeSnapshot(s))
		if err != nil {
			t.Fatal(err)
		}
		for kind, all := range s.resources {
			if len(again.resources[kind]) != len(all) {
				t.Errorf("%d of %d resources of %s", len(again.resources[kind]), len(all), kind)
			}
		}
		if config, err := new(builder).config(s); err == nil && config.Check() != nil {
			t.Error("a configuration that does not hold was accepted")
		}
	})
}
