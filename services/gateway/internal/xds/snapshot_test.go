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
		config, err := decodeSnapshot(append(sum[:], body...))
		if err == nil && config.Check() != nil {
			t.Error("a configuration that does not hold was accepted")
		}
	})
}
