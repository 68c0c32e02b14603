package backtest

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/klauspost/compress/zstd"
)

// inputs are the files to read, in order.
type inputs struct {
	files []*input
	meter *Meter
}

// input is one file or the standard input.
type input struct {
	name   string
	number int // among the inputs
	file   *os.File
	reader io.Reader
	size   int64
}

// openInputs finds and opens all inputs, so that a name that is wrong is told
// before anything is judged.
func openInputs(config *Config) (*inputs, error) {
	all := &inputs{meter: config.Meter}
	known := true
	for _, pattern := range config.Inputs {
		if pattern == "-" {
			all.files = append(all.files, &input{name: "<stdin>", number: len(all.files), reader: config.Stdin})
			known = false
			continue
		}
		paths, err := filepath.Glob(pattern)
		if err != nil {
			return all, fmt.Errorf("%s: %w", pattern, err)
		}
		if len(paths) == 0 {
			paths = []string{pattern} // let opening it tell what is wrong
		}
		slices.Sort(paths)
		for _, path := range paths {
			if err := all.open(path); err != nil {
				all.close()
				return nil, err
			}
		}
	}
	if known {
		for _, in := range all.files {
			config.Meter.Total.Add(in.size)
		}
	}
	return all, nil
}

func (all *inputs) open(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	info, err := file.Stat()
	if err == nil && info.IsDir() {
		err = fmt.Errorf("%s is a folder; name its files, as in %s", path, filepath.Join(path, "*.jsonl"))
	}
	if err != nil {
		_ = file.Close()
		return err
	}
	all.files = append(all.files, &input{name: path, number: len(all.files), file: file, reader: file, size: info.Size()})
	return nil
}

func (all *inputs) close() {
	for _, in := range all.files {
		if in.file != nil {
			_ = in.file.Close()
		}
	}
}

// read cuts the inputs into pieces for the workers.
func (all *inputs) read(ctx context.Context, r *run) error {
	cut := &cutter{run: r, ordered: r.pair.counter != nil}
	for _, in := range all.files {
		if err := in.read(ctx, cut, all.meter); err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
			return fmt.Errorf("%s: %w", in.name, err)
		}
		if ctx.Err() != nil {
			return nil
		}
	}
	return nil
}

// metered counts what is read.
type metered struct {
	io.Reader
	meter *Meter
}

func (m metered) Read(p []byte) (int, error) {
	n, err := m.Reader.Read(p)
	m.meter.Read.Add(int64(n))
	return n, err
}

// The first bytes by which formats are known.
var (
	magicGzip    = []byte{0x1f, 0x8b}
	magicZstd    = []byte{0x28, 0xb5, 0x2f, 0xfd}
	magicParquet = []byte("PAR1")
)

// read tells the format of an input by its first bytes.
func (in *input) read(ctx context.Context, cut *cutter, meter *Meter) error {
	buffered := bufio.NewReaderSize(metered{in.reader, meter}, 1<<16)
	head, err := buffered.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	switch {
	case bytes.HasPrefix(head, magicParquet):
		if in.file == nil {
			return errors.New("parquet cannot be read from the standard input; name the file")
		}
		meter.Read.Add(int64(-buffered.Buffered()))
		return in.readParquet(ctx, cut)
	case bytes.HasPrefix(head, magicGzip):
		unpacked, err := gzip.NewReader(buffered)
		if err != nil {
			return err
		}
		return in.readLines(ctx, cut, unpacked)
	case bytes.HasPrefix(head, magicZstd):
		unpacked, err := zstd.NewReader(buffered, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(64<<20))
		if err != nil {
			return err
		}
		defer unpacked.Close()
		return in.readLines(ctx, cut, unpacked)
	}
	return in.readLines(ctx, cut, buffered)
}

// cutter hands pieces to the workers. Where they are ordered, each waits for
// the one before.
type cutter struct {
	run     *run
	ordered bool
	last    chan struct{} // closed when the last piece was counted
}

// piece is a part of an input that one worker judges.
type piece struct {
	in    *input
	data  []byte // lines
	first int64  // number of the first line, from 1
	group *rowGroup
	ready <-chan struct{} // closed when this piece may be counted; nil: at once
	done  chan struct{}   // to be closed when it was counted; nil: nobody waits
}

// send hands over a piece.
func (c *cutter) send(ctx context.Context, p *piece) error {
	if c.ordered {
		p.ready, p.done = c.last, make(chan struct{})
		c.last = p.done
	}
	select {
	case c.run.pieces <- p:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
