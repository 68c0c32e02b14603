package service

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestGatheredCallsAreFollowedByAWake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var mu sync.Mutex
		var woken []time.Duration
		call := gathered(func() {
			mu.Lock()
			defer mu.Unlock()
			woken = append(woken, time.Since(began))
		}, 50*time.Millisecond)
		for _, wait := range []time.Duration{0, 0, 10, 30, 30, 100, 0} {
			<-time.After(wait * time.Millisecond)
			call()
		}
		<-time.After(time.Second)
		mu.Lock()
		defer mu.Unlock()
		if got := fmt.Sprint(woken); got != "[0s 50ms 100ms 170ms 220ms]" {
			t.Errorf("woken at %s", got)
		}
	})
}
