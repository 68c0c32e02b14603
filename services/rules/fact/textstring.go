package fact

import (
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// str reads a string: part of the text, or where it has escapes of scratch.
func (t *textReader) str() ([]byte, error) {
	if !t.take('"') {
		return nil, errUnusual
	}
	from, ascii := t.at, true
	for ; t.at < len(t.text); t.at++ {
		switch c := t.text[t.at]; {
		case c == '"':
			value := t.text[from:t.at]
			t.at++
			if !ascii && !utf8.Valid(value) {
				return nil, errUnusual
			}
			return value, nil
		case c == '\\':
			return t.escaped(from)
		case c < ' ':
			return nil, errUnusual
		case c >= utf8.RuneSelf:
			ascii = false
		}
	}
	return nil, errUnusual
}

var escapes = [256]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

// escaped reads on a string that has an escape.
func (t *textReader) escaped(from int) ([]byte, error) {
	begin := len(t.of.scratch)
	out := append(t.of.scratch, t.text[from:t.at]...)
	for t.at < len(t.text) {
		c := t.text[t.at]
		t.at++
		switch {
		case c == '"':
			t.of.scratch = out
			if !utf8.Valid(out[begin:]) {
				return nil, errUnusual
			}
			return out[begin:len(out):len(out)], nil
		case c < ' ' || t.at == len(t.text):
			return nil, errUnusual
		case c != '\\':
			out = append(out, c)
			continue
		}
		c = t.text[t.at]
		t.at++
		if c != 'u' {
			if escapes[c] == 0 {
				return nil, errUnusual
			}
			out = append(out, escapes[c])
			continue
		}
		r, ok := t.unicode()
		if !ok {
			return nil, errUnusual
		}
		out = utf8.AppendRune(out, r)
	}
	return nil, errUnusual
}

// unicode reads the digits of \u, and of the second half of a pair.
func (t *textReader) unicode() (rune, bool) {
	hex := func() (rune, bool) {
		if len(t.text)-t.at < 4 {
			return 0, false
		}
		v, err := strconv.ParseUint(string(t.text[t.at:t.at+4]), 16, 16)
		t.at += 4
		return rune(v), err == nil
	}
	r, ok := hex()
	if !ok || !utf16.IsSurrogate(r) {
		return r, ok
	}
	if len(t.text)-t.at < 2 || t.text[t.at] != '\\' || t.text[t.at+1] != 'u' {
		return 0, false
	}
	t.at += 2
	low, ok := hex()
	r = utf16.DecodeRune(r, low)
	return r, ok && r != utf8.RuneError
}
