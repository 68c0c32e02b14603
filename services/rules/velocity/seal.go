package velocity

import (
	"encoding/binary"
	"math/bits"
)

// hashKeys are the keys of a store's hashes, all made of its secret.
type hashKeys struct{ tables, values sipKey }

// sipKey is a key of SipHash-1-3, see Aumasson and Bernstein, "SipHash: a fast
// short-input PRF"; the form with 128 bits is of its reference code.
type sipKey struct{ k0, k1 uint64 }

func newHashKeys(secret []byte) hashKeys {
	root := sipKey{}
	for len(secret) > 0 { // folds a secret of any length into a key
		n := min(len(secret), MaxKey)
		a, b := root.sum(secret[:n])
		root, secret = sipKey{a, b}, secret[n:]
	}
	t0, t1 := root.sum([]byte("tables"))
	v0, v1 := root.sum([]byte("values"))
	return hashKeys{sipKey{t0, t1}, sipKey{v0, v1}}
}

// fingerprint tells stores of one secret from others without telling it.
func (k hashKeys) fingerprint() uint64 {
	a, _ := k.tables.sum([]byte("fingerprint"))
	return a
}

// derive is the key of a name.
func (k sipKey) derive(parts ...string) sipKey {
	for _, part := range parts {
		a, b := k.sum([]byte(part))
		k = sipKey{a, b}
	}
	return k
}

func (k hashKeys) value(text string) uint64 {
	if text == "" {
		return 0
	}
	if len(text) > MaxKey {
		a, b := k.values.sum([]byte(text))
		return (a ^ b) | 1
	}
	var buffer [MaxKey]byte
	a, b := k.values.sum(buffer[:copy(buffer[:], text)])
	return (a ^ b) | 1
}

// keyHash is a key's identity.
type keyHash struct{ high, low uint64 }

// key hashes what is counted apart. The lengths are within MaxKey.
func (k sipKey) key(part, by string) keyHash {
	var short [shortKey]byte
	if len(part)+1+len(by) <= shortKey {
		return k.joined(short[:], part, by)
	}
	var buffer [MaxKey + 1]byte
	return k.joined(buffer[:], part, by)
}

// shortKey is the bytes of most keys: clearing as many takes no time.
const shortKey = 32

// joined hashes two parts and a zero byte between them. The buffer is all zero.
func (k sipKey) joined(buffer []byte, part, by string) keyHash {
	n := copy(buffer, part) + 1
	n += copy(buffer[n:], by)
	high, low := k.sum(buffer[:n])
	return keyHash{high, low}
}

func (h keyHash) partition() int { return int(h.high >> 56) }

// event combines an event with a key into the identity of having counted it.
func (h keyHash) event(event uint64) uint64 {
	x := (event ^ h.low) * 0x9e3779b97f4a7c15
	return x ^ x>>29 ^ h.high
}

func (k sipKey) sum(data []byte) (uint64, uint64) {
	v0, v1 := k.k0^0x736f6d6570736575, k.k1^0x646f72616e646f6d^0xee
	v2, v3 := k.k0^0x6c7967656e657261, k.k1^0x7465646279746573
	length := uint64(len(data)) << 56
	for ; len(data) >= 8; data = data[8:] {
		m := binary.LittleEndian.Uint64(data)
		v3 ^= m
		v0, v1, v2, v3 = sipRound(v0, v1, v2, v3)
		v0 ^= m
	}
	for i, b := range data {
		length |= uint64(b) << (8 * i)
	}
	v3 ^= length
	v0, v1, v2, v3 = sipRound(v0, v1, v2, v3)
	v0 ^= length
	v2 ^= 0xee
	for range 3 {
		v0, v1, v2, v3 = sipRound(v0, v1, v2, v3)
	}
	high := v0 ^ v1 ^ v2 ^ v3
	v1 ^= 0xdd
	for range 3 {
		v0, v1, v2, v3 = sipRound(v0, v1, v2, v3)
	}
	return high, v0 ^ v1 ^ v2 ^ v3
}

func sipRound(v0, v1, v2, v3 uint64) (uint64, uint64, uint64, uint64) {
	v0 += v1
	v2 += v3
	v1 = bits.RotateLeft64(v1, 13) ^ v0
	v3 = bits.RotateLeft64(v3, 16) ^ v2
	v0 = bits.RotateLeft64(v0, 32)
	v2 += v1
	v0 += v3
	v1 = bits.RotateLeft64(v1, 17) ^ v2
	v3 = bits.RotateLeft64(v3, 21) ^ v0
	v2 = bits.RotateLeft64(v2, 32)
	return v0, v1, v2, v3
}
