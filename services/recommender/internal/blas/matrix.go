package blas

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"sync/atomic"
)

// ErrMemory tells that the memory for a matrix could not be had.
var ErrMemory = errors.New("out of memory for a matrix")

// alignment is that of a cache line and of the widest vector register.
const alignment = 64

// maxElements keeps sizes and strides within OpenBLAS's 32-bit integers.
const maxElements = math.MaxInt32

var liveBytes atomic.Int64

// LiveBytes returns the bytes of all matrices that are not freed yet.
func LiveBytes() int64 { return liveBytes.Load() }

// memory owns one allocation. Views of a matrix share it.
type memory struct {
	data    []float32
	closed  atomic.Bool
	cleanup runtime.Cleanup
}

// Matrix is a dense row-major matrix, or a view of some rows of one.
type Matrix struct {
	rows, cols int
	offset     int
	memory     *memory
}

// New returns a zeroed matrix of rows*cols, both at least 0. It is freed by
// Close, or after the garbage collector finds it unreachable.
func New(rows, cols int) (*Matrix, error) {
	if rows < 0 || cols < 0 || (cols > 0 && rows > maxElements/cols) {
		return nil, fmt.Errorf("%w: %d by %d", ErrMemory, rows, cols)
	}
	block, err := allocate(rows * cols)
	if err != nil {
		return nil, fmt.Errorf("%w: %d by %d", err, rows, cols)
	}
	liveBytes.Add(4 * int64(len(block)))
	owner := &memory{data: block}
	owner.cleanup = runtime.AddCleanup(owner, free, block)
	return &Matrix{rows: rows, cols: cols, memory: owner}, nil
}

func free(block []float32) {
	liveBytes.Add(-4 * int64(len(block)))
	release(block)
}

// Close frees the memory of the matrix and of every view of it at once. It
// may be called more than once, and not while the matrix is in use.
func (m *Matrix) Close() {
	if m == nil || m.memory.closed.Swap(true) {
		return
	}
	m.memory.cleanup.Stop()
	free(m.memory.data)
	m.memory.data = nil
}

// Rows returns the number of rows.
func (m *Matrix) Rows() int { return m.rows }

// Cols returns the number of columns.
func (m *Matrix) Cols() int { return m.cols }

// Data returns all elements, row by row. The slice is valid until Close and
// does not by itself keep the matrix alive: see KeepAlive.
func (m *Matrix) Data() []float32 {
	return m.memory.data[m.offset : m.offset+m.rows*m.cols : m.offset+m.rows*m.cols]
}

// Row returns row i as a slice that is valid as long as Data's.
func (m *Matrix) Row(i int) []float32 {
	return m.Data()[i*m.cols : (i+1)*m.cols : (i+1)*m.cols]
}

// View returns rows from (included) to to (excluded), sharing the memory.
func (m *Matrix) View(from, to int) *Matrix {
	if from < 0 || to < from || to > m.rows {
		panic(fmt.Sprintf("blas: view of rows %d to %d of %d", from, to, m.rows))
	}
	return &Matrix{rows: to - from, cols: m.cols, offset: m.offset + from*m.cols, memory: m.memory}
}

// KeepAlive keeps the memory of m until here, while only slices of it are
// in use.
func (m *Matrix) KeepAlive() { runtime.KeepAlive(m.memory) }
