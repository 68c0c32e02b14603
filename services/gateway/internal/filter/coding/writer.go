// Package coding compresses bodies by gzip, Brotli or Zstandard as clients
// accept.
//
//	accept.go  what a client accepts
//	writer.go  Pool: writers that are used again
//
// It decides nothing about which answers are worth it.
package coding

import (
	"io"
	"sync"
	"sync/atomic"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// The levels are those where each still keeps up with a fast network: a body
// is coded while it streams.
const (
	gzipLevel    = 5
	brotliLevel  = 3
	brotliWindow = 18      // 256 KiB
	zstdWindow   = 1 << 18 // bytes; browsers take up to 8 MiB
)

// coder is what the three libraries have in common.
type coder interface {
	io.WriteCloser
	Flush() error
	Reset(io.Writer)
}

// Pool keeps writers for the next body. It counts those in use, of
// which each holds about 1 MiB.
type Pool struct {
	most  int64
	inUse atomic.Int64
	kept  [codings]sync.Pool
}

// NewPool returns a pool that is full at so many writers in use at once.
func NewPool(most int) *Pool { return &Pool{most: int64(most)} }

// Full tells that no writer should be asked for now.
func (p *Pool) Full() bool { return p.inUse.Load() >= p.most }

// InUse is the number of writers in use.
func (p *Pool) InUse() int { return int(p.inUse.Load()) }

// Get returns a writer of a coding other than Identity that writes to `to`. It
// gives one even where the pool is full: who asks looks at Full first, so that
// the bound is passed by as many as ask at one instant.
func (p *Pool) Get(c Coding, to io.Writer) (*Writer, error) {
	p.inUse.Add(1)
	if kept, ok := p.kept[c].Get().(*Writer); ok {
		kept.coder.Reset(to)
		return kept, nil
	}
	made, err := newCoder(c, to)
	if err != nil {
		p.inUse.Add(-1)
		return nil, err
	}
	return &Writer{coder: made, coding: c, pool: p}, nil
}

func newCoder(c Coding, to io.Writer) (coder, error) {
	switch c {
	case Zstd:
		return zstd.NewWriter(to, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(zstdWindow),
			zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true), zstd.WithEncoderCRC(false))
	case Brotli:
		return brotli.NewWriterOptions(to, brotli.WriterOptions{Quality: brotliLevel, LGWin: brotliWindow}), nil
	default:
		return gzip.NewWriterLevel(to, gzipLevel)
	}
}

// Writer codes one body. It belongs to one goroutine, until Close or Discard.
type Writer struct {
	coder  coder
	coding Coding
	pool   *Pool
}

// Write implements io.Writer.
func (w *Writer) Write(p []byte) (int, error) { return w.coder.Write(p) }

// Flush writes out all that was taken so far.
func (w *Writer) Flush() error { return w.coder.Flush() }

// Close completes the body and gives the writer back.
func (w *Writer) Close() error {
	err := w.coder.Close()
	w.Discard()
	return err
}

// Discard gives the writer back in the middle of a body.
func (w *Writer) Discard() {
	pool := w.pool
	if pool == nil {
		return // given back already
	}
	w.coder.Reset(io.Discard)
	pool.kept[w.coding].Put(&Writer{coder: w.coder, coding: w.coding, pool: pool})
	w.pool = nil
	pool.inUse.Add(-1)
}
