package rpc

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

func TestServerHealthCountsFaultsAndTheSlowestOfHundred(t *testing.T) {
	registry := prometheus.NewRegistry()
	read := NewServerHealth(registry)
	if good, bad, p99 := read(); good != 0 || bad != 0 || p99 != 0 {
		t.Errorf("nothing yet: %d %d %v", good, bad, p99)
	}
	duration := newServerMetrics(registry).duration
	observe := func(code string, times int, seconds float64) {
		for range times {
			duration.WithLabelValues("s", "m", code, "connect").Observe(seconds)
		}
	}
	observe("ok", 98, 0.001)
	observe("not_found", 1, 0.001)
	observe("internal", 2, 0.2)
	if good, bad, p99 := read(); good != 99 || bad != 2 || p99 != 0.25 {
		t.Errorf("%d good, %d bad, p99 %v", good, bad, p99)
	}
	observe("ok", 100, 100)
	if good, _, p99 := read(); good != 199 || p99 != 10 {
		t.Errorf("slower than all bounds: %d good, p99 %v", good, p99)
	}
}
