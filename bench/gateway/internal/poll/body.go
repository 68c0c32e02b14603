//go:build linux

package poll

// Body is what the backend answers and the load generator expects: n bytes
// that do not repeat with any buffer's size.
func Body(n int) []byte {
	body := make([]byte, n)
	state := uint32(0x9E3779B9)
	for i := range body {
		state ^= state << 13
		state ^= state >> 17
		state ^= state << 5
		body[i] = byte(state>>24)&0x3F + ' '
	}
	return body
}
