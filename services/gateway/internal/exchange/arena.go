package exchange

import "strconv"

// keptArena is the most that an arena keeps for the next exchange.
const keptArena = 16 << 10

// Arena hands out bytes that live as long as an exchange. What it handed out
// stays valid when it grows.
type Arena struct{ buffer []byte }

// Reset takes everything back.
func (a *Arena) Reset() {
	if cap(a.buffer) > keptArena {
		a.buffer = nil
	}
	a.buffer = a.buffer[:0]
}

// Make returns n bytes, whose content is undefined.
func (a *Arena) Make(n int) []byte {
	if cap(a.buffer)-len(a.buffer) < n {
		a.buffer = make([]byte, 0, max(512, n, 2*cap(a.buffer)))
	}
	start := len(a.buffer)
	a.buffer = a.buffer[:start+n]
	return a.buffer[start : start+n : start+n]
}

// Copy keeps some bytes.
func (a *Arena) Copy(b []byte) []byte {
	kept := a.Make(len(b))
	copy(kept, b)
	return kept
}

// CopyString keeps a text.
func (a *Arena) CopyString(s string) []byte {
	kept := a.Make(len(s))
	copy(kept, s)
	return kept
}

// Join keeps the concatenation of parts.
func (a *Arena) Join(parts ...[]byte) []byte {
	n := 0
	for _, part := range parts {
		n += len(part)
	}
	kept := a.Make(n)
	at := 0
	for _, part := range parts {
		at += copy(kept[at:], part)
	}
	return kept
}

// Int keeps a number in decimal.
func (a *Arena) Int(n int64) []byte {
	var digits [20]byte
	return a.Copy(strconv.AppendInt(digits[:0], n, 10))
}
