package kubernetes

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"

	"github.com/backlot-video/backlot/kit/informer"
	"github.com/backlot-video/backlot/kit/informer/wire"
)

const (
	// bufferBytes is read at once, and kept for the next body.
	bufferBytes = 64 << 10
	// A batch is delivered when it has so many changes, or bytes.
	batchChanges = 256
	batchBytes   = 256 << 10
)

// frames reads a body piece by piece: what is needed is looked at where it was
// read to. It also has room for a batch. Both are used again for other bodies.
type frames struct {
	body  io.Reader
	limit int // bytes of one piece

	buffer   []byte
	from, to int   // buffer[from:to] is read and not used yet
	position int64 // in the body, of from

	batch batch
}

var pool = sync.Pool{New: func() any { return &frames{buffer: make([]byte, bufferBytes)} }}

func newFrames(body io.Reader, limit int) *frames {
	f := pool.Get().(*frames)
	f.body, f.limit, f.from, f.to, f.position = body, limit, 0, 0, 0
	return f
}

func (f *frames) release() {
	if f.body = nil; len(f.buffer) > bufferBytes {
		f.buffer = make([]byte, bufferBytes)
	}
	f.batch.reset()
	if cap(f.batch.data) > 2*batchBytes {
		f.batch.data = nil
	}
	pool.Put(f)
}

// peek returns the next n bytes, which stay until the next call of peek or
// discard. io.EOF means that there are none; io.ErrUnexpectedEOF, fewer.
func (f *frames) peek(n int) ([]byte, error) {
	if n > f.limit {
		return nil, fmt.Errorf("%d bytes in one piece are more than MaxObjectBytes, %d", n, f.limit)
	}
	if f.to-f.from < n {
		if len(f.buffer)-f.from < n {
			f.makeRoom(n)
		}
		got, err := io.ReadAtLeast(f.body, f.buffer[f.to:], n-(f.to-f.from))
		f.to += got
		if err != nil {
			if errors.Is(err, io.EOF) && f.to > f.from {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
	}
	return f.buffer[f.from : f.from+n : f.from+n], nil
}

func (f *frames) makeRoom(n int) {
	old := f.buffer[f.from:f.to]
	if len(f.buffer) < n {
		f.buffer = make([]byte, max(n, min(2*len(f.buffer), f.limit)))
	}
	f.from, f.to = 0, copy(f.buffer, old)
}

// has tells whether n bytes can be had without waiting.
func (f *frames) has(n int) bool { return f.to-f.from >= n }

// next returns the next n bytes and goes on behind them.
func (f *frames) next(n int) ([]byte, error) {
	raw, err := f.peek(n)
	if err == nil {
		f.from += n
		f.position += int64(n)
	}
	return raw, err
}

// discard goes on behind the next n bytes, however many.
func (f *frames) discard(n int64) error {
	f.position += n
	buffered := min(n, int64(f.to-f.from))
	f.from += int(buffered)
	if n -= buffered; n == 0 {
		return nil
	}
	_, err := io.CopyN(io.Discard, f.body, n)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// batch collects changes. Their specs are in data, or in what data was before
// it grew.
type batch struct {
	changes    []informer.Change
	data       []byte
	revision   int64
	whole      bool // a streamed list is whole
	namespaces wire.Interner
}

func (b *batch) reset() {
	clear(b.changes)
	b.changes, b.data, b.revision, b.whole = b.changes[:0], b.data[:0], 0, false
}

func (b *batch) full() bool { return len(b.changes) >= batchChanges || len(b.data) >= batchBytes }

// flush delivers the batch and empties it.
func (b *batch) flush(deliver func(*batch) error) error {
	defer b.reset()
	return deliver(b)
}

// metadata is what is needed of an object's.
type metadata struct {
	name, namespace []byte
	revision        int64
	whole           bool // it has the annotation initialEventsEnd
}

// add adds an object; spec is empty of a deletion.
func (b *batch) add(m *metadata, spec []byte, encoding informer.Encoding, deleted bool) {
	b.revision = max(b.revision, m.revision)
	b.changes = append(b.changes, informer.Change{
		Item: informer.Item{
			Namespace: b.namespaces.String(m.namespace), Name: string(m.name), Spec: spec, Encoding: encoding, Revision: m.revision,
		},
		Deleted: deleted,
	})
}

// mark notes a bookmark.
func (b *batch) mark(m *metadata) {
	b.revision = max(b.revision, m.revision)
	b.whole = b.whole || m.whole
}

// parseRevision reads a resourceVersion, which is a number of etcd's.
func parseRevision(raw []byte) (int64, error) {
	var revision int64
	for _, c := range raw {
		if c < '0' || c > '9' || revision > (1<<63-10)/10 {
			return 0, fmt.Errorf("resourceVersion %s is no number", strconv.Quote(string(raw[:min(len(raw), 32)])))
		}
		revision = revision*10 + int64(c-'0')
	}
	if len(raw) == 0 {
		return 0, errors.New("an object has no resourceVersion")
	}
	return revision, nil
}
