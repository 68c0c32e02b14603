package store

import (
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"

	"google.golang.org/protobuf/types/known/anypb"

	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	gatewayv1 "github.com/backlot-video/backlot/proto/gen/backlot/gateway/v1"
	rulesv1 "github.com/backlot-video/backlot/proto/gen/backlot/rules/v1"
	"github.com/backlot-video/backlot/services/configstore/internal/engine"
)

// BenchmarkApply writes tables of rates, each by a release, with 32 and 128
// callers for each processor.
func BenchmarkApply(b *testing.B) {
	for _, callers := range []int{32, 128} {
		b.Run(fmt.Sprint(callers), func(b *testing.B) { benchmarkApply(b, callers) })
	}
}

func benchmarkApply(b *testing.B, parallel int) {
	e, err := engine.Start(b.Context(), engine.Config{DataDir: filepath.Join(b.TempDir(), "etcd")})
	if err != nil {
		b.Fatal(err)
	}
	defer e.Close()
	s, err := Open(b.Context(), e, Config{})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	var callers, versions atomic.Int64
	b.SetParallelism(parallel)
	b.ReportAllocs()
	b.RunParallel(func(p *testing.PB) {
		caller := callers.Add(1)
		for n := 0; p.Next(); n++ {
			if _, err := s.Apply(b.Context(), request("benchmark", rates(fmt.Sprintf("c%d-%d", caller, n%100), versions.Add(1)))); err != nil {
				b.Error(err)
			}
		}
	})
}

// BenchmarkCheck is what a put is checked for before the store is asked.
func BenchmarkCheck(b *testing.B) {
	e, err := engine.Start(b.Context(), engine.Config{DataDir: filepath.Join(b.TempDir(), "etcd")})
	if err != nil {
		b.Fatal(err)
	}
	defer e.Close()
	s, err := Open(b.Context(), e, Config{})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	for name, change := range map[string]*configstorev1.Change{"RateTable": rates("r", 1), "Cluster": staticCluster("c", 1), "Grant": grant("g", "ann")} {
		r := request("benchmark", change)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.check(r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func rates(name string, version int64) *configstorev1.Change {
	spec, err := anypb.New(&rulesv1.RateTable{Base: "CNY", Rates: []*rulesv1.RateTable_Rate{
		{Currency: "USD", Worth: "7.1012"}, {Currency: "EUR", Worth: "7.8130"}, {Currency: "JPY", Worth: fmt.Sprintf("0.%09d", version%1_000_000_000)},
	}})
	if err != nil {
		panic(err)
	}
	return put("RateTable", name, spec)
}

func staticCluster(name string, version int64) *configstorev1.Change {
	spec, err := anypb.New(&gatewayv1.Cluster{Endpoints: &gatewayv1.Cluster_Static{Static: &gatewayv1.StaticEndpoints{Addresses: []string{
		"10.0.0.1:8080", "10.0.0.2:8080", "10.0.0.3:8080", fmt.Sprintf("10.1.0.4:%d", 1+version%65000),
	}}}})
	if err != nil {
		panic(err)
	}
	return put("Cluster", name, spec)
}
