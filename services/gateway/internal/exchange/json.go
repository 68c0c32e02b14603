package exchange

import "unicode/utf8"

const hexDigits = "0123456789abcdef"

// AppendQuoted writes a text as a JSON string. What is not UTF-8 becomes
// U+FFFD; <, > and & stand as they are.
func AppendQuoted[T string | []byte](to []byte, text T) []byte {
	to = append(to, '"')
	start := 0
	for i := 0; i < len(text); {
		c := text[i]
		if c >= ' ' && c < utf8.RuneSelf && c != '"' && c != '\\' {
			i++
			continue
		}
		if c < utf8.RuneSelf {
			to = append(to, text[start:i]...)
			to = appendEscape(to, c)
			i++
			start = i
			continue
		}
		_, size := decodeRune(text[i:])
		if size == 1 {
			to = append(to, text[start:i]...)
			to = append(to, "\ufffd"...)
			start = i + 1
		}
		i += size
	}
	to = append(to, text[start:]...)
	return append(to, '"')
}

func decodeRune[T string | []byte](text T) (rune, int) {
	var four [utf8.UTFMax]byte
	return utf8.DecodeRune(four[:copy(four[:], text)])
}

func appendEscape(to []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(to, '\\', c)
	case '\n':
		return append(to, '\\', 'n')
	case '\r':
		return append(to, '\\', 'r')
	case '\t':
		return append(to, '\\', 't')
	}
	return append(to, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
}
