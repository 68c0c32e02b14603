package h1

import (
	"encoding/binary"
	"math/bits"
)

// class says where a byte may stand, as bits.
var class [256]uint8

const (
	isToken  uint8 = 1 << iota // of methods and names (RFC 9110 5.6.2)
	isTarget                   // of targets: printable ASCII but #
	isHost                     // of names of hosts, without the sub-delims, which no real name has
	isHex
	isDigit
)

func init() {
	set := func(bit uint8, bytes string) {
		for i := range len(bytes) {
			class[bytes[i]] |= bit
		}
	}
	const digits, letters = "0123456789", "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	set(isToken, digits+letters+"!#$%&'*+-.^_`|~")
	set(isHost, digits+letters+"-._~")
	set(isHex, digits+"abcdefABCDEF")
	set(isDigit, digits)
	for c := byte(0x21); c < 0x7f; c++ {
		if c != '#' {
			class[c] |= isTarget
		}
	}
}

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// control finds the first control character (0 to 31 and 127; a tab is one)
// from at on; len(b) if there is none. It looks at 8 bytes at once.
func control(b []byte, at int) int {
	rest := b[at:]
	for ; len(rest) >= 8; rest = rest[8:] {
		if hit := controls(binary.LittleEndian.Uint64(rest)); hit != 0 {
			return len(b) - len(rest) + bits.TrailingZeros64(hit)>>3
		}
	}
	if len(rest) > 0 && len(b) >= 8 {
		// The last 8 bytes, with spaces in place of those looked at already.
		left := 8 * uint(len(rest))
		x := binary.LittleEndian.Uint64(b[len(b)-8:])>>(64-left) | 0x20*ones<<left
		if hit := controls(x); hit != 0 {
			return len(b) - len(rest) + bits.TrailingZeros64(hit)>>3
		}
		return len(b)
	}
	for i, c := range rest {
		if c < 0x20 || c == 0x7f {
			return len(b) - len(rest) + i
		}
	}
	return len(b)
}

// controls has the top bit set of the first byte that is a control character,
// and maybe of some above it; 0: there is none.
func controls(x uint64) uint64 {
	del := x ^ 0x7f*ones
	// Borrows reach only bytes above the first true hit.
	return ((x - 0x20*ones) &^ x & highs) | ((del - ones) &^ del & highs)
}

// run is the end of a run of bytes of a class from at on.
func run(b []byte, at int, bit uint8) int {
	for at < len(b) && class[b[at]]&bit != 0 {
		at++
	}
	return at
}

// ValidName tells whether a field name or a method is a token.
func ValidName(name []byte) bool { return len(name) > 0 && run(name, 0, isToken) == len(name) }

// ValidValue tells whether a field value can be sent: tabs are the only
// control characters in it.
func ValidValue(value []byte) bool {
	for at := 0; ; at++ {
		if at = control(value, at); at == len(value) {
			return true
		}
		if value[at] != '\t' {
			return false
		}
	}
}

// trim takes spaces and tabs off both ends.
func trim(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\t') {
		b = b[:len(b)-1]
	}
	return b
}

// cut gives the next member of a comma-separated list and the rest.
func cut(list []byte) (member, rest []byte) {
	for i, c := range list {
		if c == ',' {
			return trim(list[:i]), list[i+1:]
		}
	}
	return trim(list), nil
}
