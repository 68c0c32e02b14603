package h2

import "sync"

const chunkBytes = 8 << 10

type chunk struct{ bytes [chunkBytes]byte }

var chunks = sync.Pool{New: func() any { return new(chunk) }}

// queue holds bytes of a body that came and were not read yet. The zero queue
// is empty. Windows bound it.
type queue struct {
	chunks     []*chunk
	start, end int // in the first and the last chunk
	size       int
}

func (q *queue) write(p []byte) {
	q.size += len(p)
	for len(p) > 0 {
		if len(q.chunks) == 0 || q.end == chunkBytes {
			q.chunks, q.end = append(q.chunks, chunks.Get().(*chunk)), 0 //nolint:forcetypeassert // nothing else is in the pool
		}
		n := copy(q.chunks[len(q.chunks)-1].bytes[q.end:], p)
		q.end += n
		p = p[n:]
	}
}

func (q *queue) read(p []byte) int {
	total := 0
	for len(p) > 0 && q.size > 0 {
		end := chunkBytes
		if len(q.chunks) == 1 {
			end = q.end
		}
		n := copy(p, q.chunks[0].bytes[q.start:end])
		p, total = p[n:], total+n
		q.start, q.size = q.start+n, q.size-n
		if q.start == end {
			q.drop()
		}
	}
	return total
}

// drop gives the first chunk back.
func (q *queue) drop() {
	chunks.Put(q.chunks[0])
	q.chunks[0] = nil
	q.start = 0
	if len(q.chunks) == 1 {
		q.chunks, q.end = q.chunks[:0], 0
		return
	}
	q.chunks = q.chunks[:copy(q.chunks, q.chunks[1:])]
}

// clear forgets everything and returns how much that was.
func (q *queue) clear() int {
	n := q.size
	for i, c := range q.chunks {
		chunks.Put(c)
		q.chunks[i] = nil
	}
	q.chunks = q.chunks[:0]
	q.start, q.end, q.size = 0, 0, 0
	return n
}
