package program

import (
	"testing"
	"unsafe"
)

func TestPartsAreCacheLines(t *testing.T) {
	if size := unsafe.Sizeof(part{}); size != 64 {
		t.Errorf("a part has %d bytes, want 64", size)
	}
	if size := unsafe.Sizeof(test{}); size != 32 {
		t.Errorf("a test has %d bytes, want 32", size)
	}
}
