package rpc

import (
	"context"
	"testing"

	storefrontv1 "github.com/backlot-video/backlot/proto/gen/backlot/storefront/v1"
)

// BenchmarkCall measures both sides of a small call by one caller.
func BenchmarkCall(b *testing.B) {
	for name, start := range map[string]func(testing.TB, *bench) Endpoint{
		"local":   func(_ testing.TB, s *bench) Endpoint { return Endpoint{Local: s.server} },
		"kitex":   kitexOverTCP,
		"connect": connectOverTCP,
	} {
		b.Run(name, func(b *testing.B) {
			s := newBench(b, name, ServerConfig{})
			s.reach(start(b, s))
			s.onGet(func(context.Context) (*storefrontv1.GetVideoResponse, error) {
				return &storefrontv1.GetVideoResponse{}, nil
			})
			conn := s.conn(b, nil)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := get(b.Context(), conn); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
