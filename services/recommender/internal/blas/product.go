package blas

import "fmt"

// Gemm sets c to alpha*op(a)*op(b) + beta*c, where op transposes if asked
// to: op(a) is m*k, op(b) is k*n, c is m*n. With beta 0, c is not read. c
// must not share memory with a or b.
func Gemm(transA, transB bool, alpha float32, a, b *Matrix, beta float32, c *Matrix) {
	m, k := a.rows, a.cols
	if transA {
		m, k = k, m
	}
	inner, n := b.rows, b.cols
	if transB {
		inner, n = n, inner
	}
	if inner != k || c.rows != m || c.cols != n {
		panic(fmt.Sprintf("blas: product of %dx%d and %dx%d into %dx%d", m, k, inner, n, c.rows, c.cols))
	}
	if m == 0 || n == 0 {
		return
	}
	if k == 0 {
		scale(beta, c.Data())
		return
	}
	gemm(transA, transB, m, n, k, alpha, a, b, beta, c)
	a.KeepAlive()
	b.KeepAlive()
	c.KeepAlive()
}

// Gemv sets y to alpha*op(a)*x + beta*y. x and y may be ordinary Go slices.
// With beta 0, y is not read. y must not share memory with a or x.
func Gemv(trans bool, alpha float32, a *Matrix, x []float32, beta float32, y []float32) {
	m, n := a.rows, a.cols
	if trans {
		m, n = n, m
	}
	if len(x) != n || len(y) != m {
		panic(fmt.Sprintf("blas: product of %dx%d and a vector of %d into one of %d", m, n, len(x), len(y)))
	}
	if m == 0 {
		return
	}
	if n == 0 {
		scale(beta, y)
		return
	}
	gemv(trans, alpha, a, x, beta, y)
	a.KeepAlive()
}

func scale(beta float32, y []float32) {
	if beta == 0 {
		clear(y)
		return
	}
	for i := range y {
		y[i] *= beta
	}
}
