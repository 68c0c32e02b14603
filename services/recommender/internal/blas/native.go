//go:build !(openblas && linux && cgo)

package blas

import "unsafe"

// Backend names the implementation.
func Backend() string { return "go" }

func allocate(n int) ([]float32, error) {
	const spare = alignment / 4
	block := make([]float32, n+spare)
	from := int(-uintptr(unsafe.Pointer(unsafe.SliceData(block)))%alignment) / 4
	return block[from : from+n : from+n], nil
}

func release([]float32) {}

func gemm(transA, transB bool, m, n, k int, alpha float32, a, b *Matrix, beta float32, c *Matrix) {
	left, right := a.Data(), b.Data()
	var column []float32
	if transA {
		column = make([]float32, k)
	}
	for i := range m {
		row := c.Row(i)
		scale(beta, row)
		x := column
		if transA {
			for l := range x {
				x[l] = left[l*a.cols+i]
			}
		} else {
			x = left[i*k : (i+1)*k]
		}
		if transB {
			for j := range row {
				row[j] += alpha * dot(x, right[j*k:(j+1)*k])
			}
			continue
		}
		for l, value := range x {
			addScaled(row, alpha*value, right[l*n:(l+1)*n])
		}
	}
}

func gemv(trans bool, alpha float32, a *Matrix, x []float32, beta float32, y []float32) {
	scale(beta, y)
	data, n := a.Data(), a.cols
	for i := range a.rows {
		row := data[i*n : (i+1)*n]
		if trans {
			addScaled(y, alpha*x[i], row)
		} else {
			y[i] += alpha * dot(row, x)
		}
	}
}

// dot uses four sums, so that additions need not wait for each other.
func dot(a, b []float32) float32 {
	var s0, s1, s2, s3 float32
	b = b[:len(a)]
	i := 0
	for ; i+4 <= len(a); i += 4 {
		x, y := a[i:i+4:i+4], b[i:i+4:i+4]
		s0 += x[0] * y[0]
		s1 += x[1] * y[1]
		s2 += x[2] * y[2]
		s3 += x[3] * y[3]
	}
	for ; i < len(a); i++ {
		s0 += a[i] * b[i]
	}
	return (s0 + s1) + (s2 + s3)
}

// addScaled adds value*x to y.
func addScaled(y []float32, value float32, x []float32) {
	x = x[:len(y)]
	for i := range y {
		y[i] += value * x[i]
	}
}
