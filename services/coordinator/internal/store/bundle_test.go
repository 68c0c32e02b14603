package store

import (
	"slices"
	"testing"
)

func TestBundlesAreOfOneTenantAndBounded(t *testing.T) {
	var b bundler
	sizes := map[int32]int{}
	add := func(tenant string, bytes, n int) (numbers []int32) {
		for range n {
			number := b.next(tenant, Fact{Envelope: make([]byte, bytes)})
			sizes[number]++
			numbers = append(numbers, number)
		}
		return slices.Compact(numbers)
	}
	for _, step := range []struct {
		tenant   string
		bytes, n int
		want     []int32
	}{
		{"a", 10, bundleFacts, []int32{1}},
		{"a", 10, 1, []int32{2}},
		{"b", 10, 1, []int32{3}},
		{"a", bundleBytes, 1, []int32{4}},
		{"a", bundleBytes / 2, 3, []int32{5, 6}},
	} {
		if got := add(step.tenant, step.bytes, step.n); !slices.Equal(got, step.want) {
			t.Errorf("%+v: bundles %v", step, got)
		}
	}
	if sizes[1] != bundleFacts || sizes[5] != 2 {
		t.Errorf("sizes %v", sizes)
	}
}
