//go:build openblas && linux && cgo

package blas

/*
#cgo LDFLAGS: -lopenblas
#include <stdlib.h>
#include <cblas.h>
*/
import "C"

import (
	"runtime"
	"strings"
	"unsafe"
)

// maxCalls is below the number of work buffers that Debian's OpenBLAS has.
const maxCalls = 48

var slots chan struct{}

func init() {
	C.openblas_set_num_threads(1)
	slots = make(chan struct{}, min(runtime.GOMAXPROCS(0), maxCalls))
}

// Backend names the implementation, with the kernel that OpenBLAS chose.
func Backend() string {
	config, _, _ := strings.Cut(C.GoString(C.openblas_get_config()), " NO_")
	return config + " " + C.GoString(C.openblas_get_corename())
}

func allocate(n int) ([]float32, error) {
	if n == 0 {
		return nil, nil
	}
	var p unsafe.Pointer
	if C.posix_memalign(&p, alignment, C.size_t(4*n)) != 0 {
		return nil, ErrMemory
	}
	block := unsafe.Slice((*float32)(p), n)
	clear(block)
	return block, nil
}

func release(block []float32) {
	if len(block) > 0 {
		C.free(unsafe.Pointer(unsafe.SliceData(block)))
	}
}

func transpose(yes bool) uint32 {
	if yes {
		return C.CblasTrans
	}
	return C.CblasNoTrans
}

func pointer(x []float32) *C.float { return (*C.float)(unsafe.Pointer(unsafe.SliceData(x))) }

func gemm(transA, transB bool, m, n, k int, alpha float32, a, b *Matrix, beta float32, c *Matrix) {
	slots <- struct{}{}
	C.cblas_sgemm(C.CblasRowMajor, transpose(transA), transpose(transB), C.blasint(m), C.blasint(n), C.blasint(k),
		C.float(alpha), pointer(a.Data()), C.blasint(a.cols), pointer(b.Data()), C.blasint(b.cols),
		C.float(beta), pointer(c.Data()), C.blasint(c.cols))
	<-slots
}

func gemv(trans bool, alpha float32, a *Matrix, x []float32, beta float32, y []float32) {
	slots <- struct{}{}
	C.cblas_sgemv(C.CblasRowMajor, transpose(trans), C.blasint(a.rows), C.blasint(a.cols),
		C.float(alpha), pointer(a.Data()), C.blasint(a.cols), pointer(x), 1,
		C.float(beta), pointer(y), 1)
	<-slots
}
