package cache_test

import (
	"crypto/sha256"
	"fmt"
	"sync"
	"testing"

	"github.com/backlot-video/backlot/services/gateway/internal/filter/cache"
)

func digest(n int) *cache.Digest {
	d := sha256.Sum256(fmt.Append(nil, n))
	return &d
}

func TestAValueIsGoodUntilItsTime(t *testing.T) {
	table := cache.New[string](8)
	table.Put(digest(1), 100, "one")
	if got, found := table.Get(digest(1), 99); !found || got != "one" {
		t.Errorf("before its time: %q, %t", got, found)
	}
	if _, found := table.Get(digest(1), 100); found {
		t.Error("found at its time")
	}
	if _, found := table.Get(digest(2), 0); found {
		t.Error("found what nobody put")
	}
	table.Put(digest(1), 200, "again")
	if got, _ := table.Get(digest(1), 150); got != "again" {
		t.Errorf("after it was put again: %q", got)
	}
}

func TestWhatExpiresFirstMakesRoom(t *testing.T) {
	table := cache.New[int](4) // one set
	for i := range 4 {
		table.Put(digest(i), int64(100+i), i)
	}
	table.Put(digest(9), 500, 9)
	if _, found := table.Get(digest(0), 0); found {
		t.Error("the first to expire is still there")
	}
	for _, n := range []int{1, 2, 3, 9} {
		if got, found := table.Get(digest(n), 0); !found || got != n {
			t.Errorf("%d is gone", n)
		}
	}
}

func TestManyMayUseIt(t *testing.T) {
	table := cache.New[int](64)
	var users sync.WaitGroup
	for range 4 {
		users.Go(func() {
			for i := range 2000 {
				table.Put(digest(i%100), 1000, i%100)
				if got, found := table.Get(digest(i%100), 0); found && got != i%100 {
					t.Errorf("%d under the digest of %d", got, i%100)
				}
			}
		})
	}
	users.Wait()
}

func BenchmarkGet(b *testing.B) {
	table := cache.New[int](8192)
	d := digest(1)
	table.Put(d, 1000, 1)
	b.ReportAllocs()
	for b.Loop() {
		if _, found := table.Get(d, 0); !found {
			b.Fatal("gone")
		}
	}
}
