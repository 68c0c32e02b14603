// Package seal encrypts values before they reach the store.
//
//	seal.go  Ring: sealing and opening
//	file.go  key files: reading, making, adding a key
//
// Each value gets a data key of its own, which encrypts it by AES-256-GCM and
// is itself encrypted by a key of the ring: whoever holds the store and not the
// ring has nothing. Both are bound to the value's place and to how often that
// was written, so that a value that was moved, or put back, does not open. It
// does not know what is worth sealing, nor which key of the ring is in force. A
// Ring does not change and is safe for concurrent use.
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
)

var (
	// ErrKey means that a value is sealed with a key that the ring has not.
	ErrKey = errors.New("key is missing")
	// ErrDamaged means that a value is not what was sealed at its place.
	ErrDamaged = errors.New("sealed value was changed, moved or put back")
)

const (
	keyBytes = 32
	idBytes  = 8
	// MaxKeys is how many keys a ring has at most.
	MaxKeys = 16
	// format is the first byte of a sealed value.
	format = 1

	nonceBytes   = 12
	tagBytes     = 16
	wrappedBytes = nonceBytes + keyBytes + tagBytes
	headerBytes  = 1 + idBytes + wrappedBytes + nonceBytes
)

// Ring is some keys, newest first.
type Ring struct{ keys []ringKey }

type ringKey struct {
	id   string
	aead cipher.AEAD
}

// NewRing makes a ring of keys of 32 bytes each, newest first.
func NewRing(keys ...[]byte) (*Ring, error) {
	if len(keys) == 0 || len(keys) > MaxKeys {
		return nil, fmt.Errorf("%d keys, must be from 1 to %d", len(keys), MaxKeys)
	}
	r := &Ring{keys: make([]ringKey, len(keys))}
	for n, key := range keys {
		if len(key) != keyBytes {
			return nil, fmt.Errorf("key %d has %d bytes, must have %d", n+1, len(key), keyBytes)
		}
		aead, err := newAEAD(key)
		if err != nil {
			return nil, err
		}
		id := keyID(key)
		if r.find(id) != nil {
			return nil, fmt.Errorf("key %d is there twice", n+1)
		}
		r.keys[n] = ringKey{id, aead}
	}
	return r, nil
}

func newAEAD(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// keyID tells keys apart and gives nothing of them away.
func keyID(key []byte) string {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("backlot/configstore/key-id"))
	return hex.EncodeToString(mac.Sum(nil)[:idBytes])
}

func (r *Ring) find(id string) cipher.AEAD {
	for _, key := range r.keys {
		if key.id == id {
			return key.aead
		}
	}
	return nil
}

// Newest is the id of the first key.
func (r *Ring) Newest() string { return r.keys[0].id }

// Has tells whether the ring has a key.
func (r *Ring) Has(id string) bool { return r.find(id) != nil }

// IDs are those of all keys, newest first.
func (r *Ring) IDs() []string {
	ids := make([]string, len(r.keys))
	for n, key := range r.keys {
		ids[n] = key.id
	}
	return ids
}

// Place is where a value is: it opens nowhere else. Version counts the writes
// of that place since it came to be, as the store does.
type Place struct {
	Path    string
	Version int64
}

// bound is what ties a ciphertext to its place; part tells the data key from
// the value.
func (p Place) bound(part byte) []byte {
	data := append(make([]byte, 0, len(p.Path)+10), format, part)
	data = binary.BigEndian.AppendUint64(data, uint64(p.Version)) //nolint:gosec // any bits do
	return append(data, p.Path...)
}

// Seal encrypts a value for a place under a key of the ring.
func (r *Ring) Seal(key string, at Place, value []byte) ([]byte, error) {
	outer := r.find(key)
	if outer == nil {
		return nil, fmt.Errorf("seal with %s: %w", key, ErrKey)
	}
	id, err := hex.DecodeString(key)
	if err != nil {
		return nil, fmt.Errorf("seal with %s: %w", key, err)
	}
	dataKey := make([]byte, keyBytes)
	rand.Read(dataKey) // never fails
	inner, err := newAEAD(dataKey)
	if err != nil {
		return nil, err
	}
	sealed := make([]byte, 0, headerBytes+len(value)+tagBytes)
	sealed = append(append(sealed, format), id...)
	sealed = encrypt(sealed, outer, dataKey, at.bound('k'))
	return encrypt(sealed, inner, value, at.bound('v')), nil
}

// encrypt appends a nonce and the ciphertext.
func encrypt(to []byte, aead cipher.AEAD, plain, bound []byte) []byte {
	nonce := make([]byte, nonceBytes)
	rand.Read(nonce) // never fails
	return aead.Seal(append(to, nonce...), nonce, plain, bound)
}

// KeyOf is the id of the key that a sealed value needs.
func KeyOf(sealed []byte) (string, error) {
	if len(sealed) < headerBytes+tagBytes || sealed[0] != format {
		return "", ErrDamaged
	}
	return hex.EncodeToString(sealed[1 : 1+idBytes]), nil
}

// Open gives back what was sealed for a place.
func (r *Ring) Open(at Place, sealed []byte) ([]byte, error) {
	id, err := KeyOf(sealed)
	if err != nil {
		return nil, err
	}
	outer := r.find(id)
	if outer == nil {
		return nil, fmt.Errorf("%w: it is sealed with %s, and there are %v", ErrKey, id, r.IDs())
	}
	wrapped, rest := sealed[1+idBytes:headerBytes-nonceBytes], sealed[headerBytes-nonceBytes:]
	dataKey, err := outer.Open(nil, wrapped[:nonceBytes], wrapped[nonceBytes:], at.bound('k'))
	if err != nil {
		return nil, ErrDamaged
	}
	inner, err := newAEAD(dataKey)
	if err != nil {
		return nil, err
	}
	value, err := inner.Open(nil, rest[:nonceBytes], rest[nonceBytes:], at.bound('v'))
	if err != nil {
		return nil, ErrDamaged
	}
	return value, nil
}
