package list

import (
	"fmt"
	"math"
	"slices"
)

// Limits of a list where Config does not say others, and of a prefix list.
const (
	DefaultMaxEntries = 20_000_000
	DefaultMaxBytes   = 1 << 30
	// MaxLengths is the most different lengths of the entries of a prefix
	// list: a value is looked up once for each.
	MaxLengths = 128
)

// Config of a list. Zero fields mean the default.
type Config struct {
	Match      Match
	MaxEntries int   // repetitions count; default 20 million
	MaxBytes   int64 // of all entries together, at most 4 GiB; default 1 GiB
}

// Builder makes a list of a stream of entries. One goroutine may use it, until
// Build.
type Builder struct {
	config  Config
	blob    []byte
	entries int
	bytes   int64
	lengths [MaxEntry + 1]bool
	nets    networks
}

// NewBuilder returns a builder without entries.
func NewBuilder(config Config) *Builder {
	if config.MaxEntries <= 0 {
		config.MaxEntries = DefaultMaxEntries
	}
	if config.MaxBytes <= 0 {
		config.MaxBytes = DefaultMaxBytes
	}
	config.MaxEntries = min(config.MaxEntries, 1<<30)
	config.MaxBytes = min(config.MaxBytes, math.MaxUint32-2*int64(config.MaxEntries))
	return &Builder{config: config}
}

// Grow makes room for so many more entries, of so many bytes each with one more.
func (b *Builder) Grow(entries, bytes int) {
	if b.config.Match == CIDR {
		b.nets.four = slices.Grow(b.nets.four, min(entries, b.config.MaxEntries))
		return
	}
	b.blob = slices.Grow(b.blob, min(bytes, int(b.config.MaxBytes)))
}

// Fits reports whether so many entries, of so many bytes, are within the
// limits; or the error is ErrTooLarge.
func (b *Builder) Fits(entries int, bytes int64) error {
	if entries > b.config.MaxEntries {
		return fmt.Errorf("%w: %d entries, at most %d", ErrTooLarge, entries, b.config.MaxEntries)
	}
	if bytes > b.config.MaxBytes {
		return fmt.Errorf("%w: %d bytes of entries, at most %d", ErrTooLarge, bytes, b.config.MaxBytes)
	}
	return nil
}

// Len is the number of entries added, repetitions among them.
func (b *Builder) Len() int { return b.entries }

// Add adds an entry, which is copied.
func (b *Builder) Add(entry []byte) error { return add(b, entry) }

// AddString adds an entry.
func (b *Builder) AddString(entry string) error { return add(b, entry) }

func add[T string | []byte](b *Builder, entry T) error {
	if err := checkEntry(b.config.Match, entry); err != nil {
		return err
	}
	b.entries++
	b.bytes += int64(len(entry))
	if b.entries > b.config.MaxEntries {
		return fmt.Errorf("%w: more than %d entries", ErrTooLarge, b.config.MaxEntries)
	}
	if b.bytes > b.config.MaxBytes {
		return fmt.Errorf("%w: more than %d bytes of entries", ErrTooLarge, b.config.MaxBytes)
	}
	if b.config.Match == CIDR {
		net, ok := parseNetwork(entry)
		if !ok {
			return fmt.Errorf("%w: %.80q is no IP address or network, as in 10.0.0.0/8", ErrEntry, string(entry))
		}
		b.nets.add(net)
		return nil
	}
	b.blob = push(b.blob, entry)
	return nil
}

// checkEntry checks what does not depend on other entries.
func checkEntry[T string | []byte](match Match, entry T) error {
	if len(entry) == 0 || len(entry) > MaxEntry {
		return fmt.Errorf("%w: %.80q has %d bytes, allowed are 1 to %d", ErrEntry, string(entry), len(entry), MaxEntry)
	}
	if match == Prefix && entry[len(entry)-1] == '*' {
		return fmt.Errorf("%w: %.80q: prefixes are written without '*'", ErrEntry, string(entry))
	}
	return nil
}

// Build returns the list. The builder is empty then.
func (b *Builder) Build() (*List, error) {
	l := &List{match: b.config.Match}
	blob, entries := b.blob, b.entries
	b.blob, b.entries, b.bytes = nil, 0, 0
	switch b.config.Match {
	case CIDR:
		l.nets, b.nets = b.nets, networks{}
		l.nets.sort(true)
		l.ranges = l.nets.ranges()
	case Auto:
		l.texts = newTable(blob, entries, func(entry []byte) {
			if net, ok := parseNetwork(entry); ok {
				l.nets.add(net)
			}
		})
		l.nets.sort(false)
		l.ranges = l.nets.ranges()
	case Exact:
		l.texts = newTable(blob, entries, nil)
	case Prefix:
		l.texts = newTable(blob, entries, func(entry []byte) { b.lengths[len(entry)] = true })
		return l, l.texts.measure(&b.lengths)
	}
	return l, nil
}

// measure notes the lengths of the entries of a prefix list.
func (t *table) measure(found *[MaxEntry + 1]bool) error {
	for n, is := range found {
		if is {
			t.lengths = append(t.lengths, uint16(n))
		}
	}
	clear(found[:])
	if len(t.lengths) > MaxLengths {
		return fmt.Errorf("%w: prefixes of %d different lengths, at most %d", ErrTooLarge, len(t.lengths), MaxLengths)
	}
	return nil
}
