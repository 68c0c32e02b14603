package rate

import (
	"bufio"
	"fmt"
	"io"
	"strings"
)

// Read makes a table of text: `base USD`, then a currency and its rate a line,
// `CNY 0.1402`. Empty lines and those that begin with # say nothing. Errors
// name the line.
func Read(r io.Reader, version string) (*Table, error) {
	base, rates := "", map[string]string{}
	lines := bufio.NewScanner(r)
	for number := 1; lines.Scan(); number++ {
		words := strings.Fields(lines.Text())
		switch {
		case len(words) == 0 || strings.HasPrefix(words[0], "#"):
			continue
		case len(words) != 2:
			return nil, fmt.Errorf("line %d: %w: want a currency and its rate, as in CNY 0.1402", number, ErrTable)
		case base == "" && words[0] == "base":
			base = words[1]
			continue
		case base == "":
			return nil, fmt.Errorf("line %d: %w: want the base first, as in base USD", number, ErrTable)
		}
		if _, twice := rates[words[0]]; twice {
			return nil, fmt.Errorf("line %d: %w: a second rate of %s", number, ErrTable, words[0])
		}
		rates[words[0]] = words[1]
		if _, err := New("", base, map[string]string{words[0]: words[1]}); err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTable, err)
	}
	return New(version, base, rates)
}
