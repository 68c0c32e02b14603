// Package blas multiplies float32 matrices that live outside Go's heap.
//
// With build tag openblas on Linux (cgo) it calls OpenBLAS; everywhere else
// the same functions are plain Go over ordinary memory. Backend tells which.
//
//	matrix.go    Matrix: aligned memory, views, Close, the live-bytes counter
//	product.go   Gemm and Gemv: shapes are checked here, for both backends
//	openblas.go  memory and products by OpenBLAS
//	native.go    memory and products in Go
//
// Each product runs on one BLAS thread: parallelism is the caller's, by
// goroutines. A semaphore bounds how many of them are inside OpenBLAS at
// once, because its table of work buffers has a fixed size. A call into C
// costs about 30 ns, so this package has no dot product of two vectors.
//
// A shape that does not fit is a bug of the caller and panics, as an index
// out of range does. Matrices may be read by many goroutines at once, and
// written by one at a time.
package blas
