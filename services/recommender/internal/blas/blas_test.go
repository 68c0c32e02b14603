package blas

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"
	"unsafe"
)

func random(t testing.TB, r *rand.Rand, rows, cols int) *Matrix {
	t.Helper()
	m, err := New(rows, cols)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	for i := range m.Data() {
		m.Data()[i] = float32(r.NormFloat64())
	}
	return m
}

func at(m *Matrix, trans bool, i, j int) float64 {
	if trans {
		i, j = j, i
	}
	return float64(m.Row(i)[j])
}

func near(t *testing.T, what string, got float32, want float64, terms int) {
	t.Helper()
	if math.Abs(float64(got)-want) > 1e-5*float64(terms+1) {
		t.Fatalf("%s is %g, want %g", what, got, want)
	}
}

func TestGemmEqualsDefinition(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, shape := range [][3]int{{1, 1, 1}, {3, 5, 7}, {64, 33, 17}, {65, 64, 130}, {2, 1, 9}, {4, 3, 0}, {0, 3, 2}} {
		for flags := range 4 {
			m, n, k := shape[0], shape[1], shape[2]
			transA, transB := flags&1 != 0, flags&2 != 0
			a, b, c := random(t, r, m, k), random(t, r, k, n), random(t, r, m, n)
			if transA {
				a = random(t, r, k, m)
			}
			if transB {
				b = random(t, r, n, k)
			}
			for _, beta := range []float32{0, 1, -0.5} {
				before := append([]float32(nil), c.Data()...)
				Gemm(transA, transB, 1.5, a, b, beta, c)
				for i := range m {
					for j := range n {
						want := float64(beta) * float64(before[i*n+j])
						for l := range k {
							want += 1.5 * at(a, transA, i, l) * at(b, transB, l, j)
						}
						near(t, fmt.Sprintf("%v %d c[%d,%d]", shape, flags, i, j), c.Row(i)[j], want, k)
					}
				}
			}
		}
	}
}

func TestGemvEqualsDefinition(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, shape := range [][2]int{{1, 1}, {5, 3}, {300, 64}, {7, 129}, {0, 4}, {4, 0}} {
		for _, trans := range []bool{false, true} {
			a := random(t, r, shape[0], shape[1])
			m, n := shape[0], shape[1]
			if trans {
				m, n = n, m
			}
			x, y := random(t, r, 1, n).Data(), random(t, r, 1, m).Data()
			for _, beta := range []float32{0, 2} {
				before := append([]float32(nil), y...)
				Gemv(trans, -0.5, a, x, beta, y)
				for i := range m {
					want := float64(beta) * float64(before[i])
					for j := range n {
						want -= 0.5 * at(a, trans, i, j) * float64(x[j])
					}
					near(t, fmt.Sprintf("%v %v y[%d]", shape, trans, i), y[i], want, n)
				}
			}
		}
	}
}

func TestZeroBetaDoesNotReadTheResult(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	a, b, c := random(t, r, 3, 4), random(t, r, 4, 2), random(t, r, 3, 2)
	y := make([]float32, 3)
	for i := range c.Data() {
		c.Data()[i] = float32(math.NaN())
	}
	for i := range y {
		y[i] = float32(math.NaN())
	}
	Gemm(false, false, 1, a, b, 0, c)
	Gemv(false, 1, a, []float32{1, 2, 3, 4}, 0, y)
	for _, v := range append(append([]float32(nil), c.Data()...), y...) {
		if v != v {
			t.Fatal("NaN survived beta 0")
		}
	}
}

func TestViewSharesRows(t *testing.T) {
	m := random(t, rand.New(rand.NewPCG(7, 8)), 10, 3)
	v := m.View(4, 7)
	v.Row(0)[2] = 42
	if m.Row(4)[2] != 42 || v.Rows() != 3 || v.Cols() != 3 || len(v.Data()) != 9 {
		t.Fatalf("view of %d by %d does not share rows", v.Rows(), v.Cols())
	}
}

func TestShapesThatDoNotFitPanic(t *testing.T) {
	a := random(t, rand.New(rand.NewPCG(9, 10)), 2, 3)
	for name, call := range map[string]func(){
		"gemm": func() { Gemm(false, false, 1, a, a, 0, a) },
		"gemv": func() { Gemv(false, 1, a, make([]float32, 2), 0, make([]float32, 2)) },
		"view": func() { a.View(1, 3) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s did not panic", name)
				}
			}()
			call()
		}()
	}
}

func TestMemoryIsAlignedZeroedAndCounted(t *testing.T) {
	before := LiveBytes()
	m, err := New(100, 64)
	if err != nil {
		t.Fatal(err)
	}
	if got := LiveBytes() - before; got != 4*6400 {
		t.Errorf("live bytes grew by %d", got)
	}
	if address := uintptr(unsafe.Pointer(unsafe.SliceData(m.Data()))); address%alignment != 0 {
		t.Errorf("address %x is not aligned", address)
	}
	for _, v := range m.Data() {
		if v != 0 {
			t.Fatal("memory is not zeroed")
		}
	}
	m.Close()
	m.Close()
	if got := LiveBytes(); got != before {
		t.Errorf("live bytes are %d after close, were %d", got, before)
	}
	if _, err := New(1<<20, 1<<20); err == nil {
		t.Error("a matrix of 4 TB was allocated")
	}
	if _, err := New(-1, 2); err == nil {
		t.Error("a negative size was accepted")
	}
}

func TestUnreachableMatrixIsFreed(t *testing.T) {
	before := LiveBytes()
	func() {
		if _, err := New(1000, 1000); err != nil {
			t.Fatal(err)
		}
	}()
	deadline := time.Now().Add(10 * time.Second)
	for LiveBytes() != before {
		if time.Now().After(deadline) {
			t.Fatalf("%d bytes are still live", LiveBytes()-before)
		}
		runtime.GC()
		runtime.Gosched()
	}
}

func TestManyGoroutines(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 12))
	a, b := random(t, r, 64, 32), random(t, r, 32, 32)
	want := random(t, r, 64, 32)
	Gemm(false, false, 1, a, b, 0, want)
	var group sync.WaitGroup
	for range 300 {
		group.Go(func() {
			c, err := New(64, 32)
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			Gemm(false, false, 1, a, b, 0, c)
			for i, v := range c.Data() {
				if v != want.Data()[i] {
					t.Errorf("element %d is %g, want %g", i, v, want.Data()[i])
					return
				}
			}
		})
	}
	group.Wait()
}
