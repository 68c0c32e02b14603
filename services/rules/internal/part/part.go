// Package part keeps the content of long lists in parts: text with an entry a
// line, named by its SHA-256 and compressed with Zstandard. part.go packs and
// checks parts, split.go cuts lists into them, store.go keeps them in a bucket
// and copies of them on disk.
//
// It knows neither which list a part belongs to nor what is in force.
package part

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/klauspost/compress/zstd"

	rulesv1 "github.com/backlot-video/backlot/proto/gen/backlot/rules/v1"
	"github.com/backlot-video/backlot/services/rules/list"
)

// MaxBytes is the size of a part's text.
const MaxBytes = 1 << 20

// Errors of parts.
var (
	ErrDamaged = errors.New("part of a list is not what its name says")
	ErrMissing = errors.New("part of a list is missing")
)

// Name is the SHA-256 of a part's text.
type Name [sha256.Size]byte

func (n Name) String() string { return hex.EncodeToString(n[:]) }

// NameOf returns the name in a message; wrong lengths are cut or filled up and
// match no text.
func NameOf(p *rulesv1.ListPart) Name {
	var n Name
	copy(n[:], p.GetSha256())
	return n
}

var (
	encoder, _ = zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
	decoder, _ = zstd.NewReader(nil, zstd.WithDecoderMaxMemory(MaxBytes), zstd.WithDecoderConcurrency(0))
)

// Pack compresses a part's text.
func Pack(text []byte) []byte { return encoder.EncodeAll(text, nil) }

// Unpack returns the text of a part, in buffer where that is long enough. The
// text is what its name says, or the error is ErrDamaged.
func Unpack(p *rulesv1.ListPart, packed, buffer []byte) ([]byte, error) {
	text, err := unpack(NameOf(p), packed, buffer)
	if err != nil {
		return nil, err
	}
	return text, sized(p, text)
}

func sized(p *rulesv1.ListPart, text []byte) error {
	if len(text) != int(p.GetBytes()) {
		return fmt.Errorf("%w: %s has %d bytes, expected %d", ErrDamaged, NameOf(p), len(text), p.GetBytes())
	}
	return nil
}

// unpack returns the text that has a name.
func unpack(name Name, packed, buffer []byte) ([]byte, error) {
	text, err := decoder.DecodeAll(packed, buffer[:0])
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrDamaged, name, err)
	}
	if sha256.Sum256(text) != name {
		return nil, fmt.Errorf("%w: %s", ErrDamaged, name)
	}
	return text, nil
}

// AddTo adds the entries of a part's text to a list that is built. Errors of
// entries name the line.
func AddTo(b *list.Builder, p *rulesv1.ListPart, text []byte) error {
	before, number := b.Len(), 0
	for len(text) > 0 {
		var line []byte
		line, text, _ = bytes.Cut(text, []byte{'\n'})
		number++
		if err := b.Add(line); err != nil {
			return fmt.Errorf("part %.12s, line %d: %w", NameOf(p), number, err)
		}
	}
	if n := b.Len() - before; n != int(p.GetEntries()) {
		return fmt.Errorf("%w: %.12s has %d entries, expected %d", ErrDamaged, NameOf(p), n, p.GetEntries())
	}
	return nil
}

// Check unpacks a part and checks its entries for a way of matching.
func Check(p *rulesv1.ListPart, match list.Match, packed []byte) error {
	text, err := Unpack(p, packed, nil)
	if err != nil {
		return err
	}
	b := list.NewBuilder(list.Config{Match: match})
	if err := AddTo(b, p, text); err != nil {
		return err
	}
	_, err = b.Build()
	return err
}
