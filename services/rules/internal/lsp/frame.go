package lsp

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Limits of what is read.
const (
	maxHeader  = 4 << 10  // bytes of all header fields of a message
	maxMessage = 64 << 20 // bytes of a message's body
)

// ErrFraming is wrapped by the errors of a stream that holds no messages.
var ErrFraming = errors.New("lsp: bad framing")

// readMessage reads the body of the next message. io.EOF is the stream's end
// between messages.
func readMessage(r *bufio.Reader) ([]byte, error) {
	length, read := -1, 0
	for {
		line, err := readLine(r, maxHeader-read)
		if errors.Is(err, io.EOF) && read == 0 && line == "" {
			return nil, io.EOF
		}
		if err != nil {
			return nil, err
		}
		read += len(line) + 2
		if line == "" {
			break
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok {
			return nil, fmt.Errorf("%w: header field %.40q", ErrFraming, line)
		}
		if !strings.EqualFold(strings.TrimSpace(name), "Content-Length") {
			continue
		}
		length, err = strconv.Atoi(strings.TrimSpace(value))
		if err != nil || length < 0 || length > maxMessage {
			return nil, fmt.Errorf("%w: Content-Length %.40q, the most is %d", ErrFraming, value, maxMessage)
		}
	}
	if length < 0 {
		return nil, fmt.Errorf("%w: no Content-Length", ErrFraming)
	}
	// It grows with what comes, not with what is announced.
	body, err := io.ReadAll(io.LimitReader(r, int64(length)))
	if err == nil && len(body) < length {
		err = io.ErrUnexpectedEOF
	}
	return body, err
}

// readLine reads up to a line end, which it drops, at most limit bytes.
func readLine(r *bufio.Reader, limit int) (string, error) {
	var line []byte
	for {
		c, err := r.ReadByte()
		if err != nil {
			if errors.Is(err, io.EOF) && len(line) > 0 {
				err = io.ErrUnexpectedEOF
			}
			return string(line), err
		}
		if c == '\n' {
			return strings.TrimSuffix(string(line), "\r"), nil
		}
		if len(line) >= limit {
			return "", fmt.Errorf("%w: header longer than %d bytes", ErrFraming, maxHeader)
		}
		line = append(line, c)
	}
}

// writeMessage writes a value as a message.
func writeMessage(w io.Writer, value any) error {
	body, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("lsp: encode: %w", err)
	}
	_, err = fmt.Fprintf(w, "Content-Length: %d\r\n\r\n%s", len(body), body)
	return err
}
