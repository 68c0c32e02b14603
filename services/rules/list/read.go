package list

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
)

// Read makes a list of text with an entry a line. Empty lines and those that
// begin with # are none. A line `# match: prefix` before the first entry says
// how entries match where config does not. Errors name the line. size is how
// many bytes are to come, 0 if that is not known.
func Read(r io.Reader, config Config, size int64) (*List, error) {
	var b *Builder
	lines := bufio.NewReaderSize(r, 64<<10)
	for number := 1; ; number++ {
		line, err := lines.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			return nil, fmt.Errorf("line %d: %w: %.80q... has more than %d bytes", number, ErrEntry, line, lines.Size())
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		if number == 1 {
			line = bytes.TrimPrefix(line, []byte("\ufeff")) // some editors begin a file so
		}
		if entry := bytes.TrimSpace(line); len(entry) == 0 || entry[0] == '#' {
			if matchErr := config.header(entry, b == nil); matchErr != nil {
				return nil, fmt.Errorf("line %d: %w", number, matchErr)
			}
		} else {
			if b == nil {
				b = NewBuilder(config)
				b.Grow(int(size/16), int(size))
			}
			if addErr := b.Add(entry); addErr != nil {
				return nil, fmt.Errorf("line %d: %w", number, addErr)
			}
		}
		if err != nil {
			break
		}
	}
	if b == nil {
		b = NewBuilder(config)
	}
	return b.Build()
}

// header reads a comment. One that says how entries match must stand before
// the first of them, and not say otherwise than the configuration.
func (c *Config) header(comment []byte, first bool) error {
	name, isMatch := bytes.CutPrefix(bytes.TrimSpace(bytes.TrimPrefix(comment, []byte("#"))), []byte("match:"))
	if !isMatch || len(comment) == 0 {
		return nil
	}
	match, err := ParseMatch(string(bytes.TrimSpace(name)))
	switch {
	case err != nil:
		return err
	case !first:
		return fmt.Errorf("%w: '# match:' must stand before the first entry", ErrEntry)
	case c.Match != Auto && c.Match != match:
		return fmt.Errorf("%w: the list is to match as %s, here stands %s", ErrEntry, c.Match, match)
	}
	c.Match = match
	return nil
}
