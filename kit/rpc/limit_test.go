package rpc

import "testing"

func TestStreamsAndCallsHaveLimitsOfTheirOwn(t *testing.T) {
	s := NewServer(ServerConfig{Service: "limits", MaxInFlight: 2, MaxStreams: 3})
	var leave []func()
	enter := func(stream, want bool) {
		t.Helper()
		left, err := s.enter(stream)
		if (err == nil) != want {
			t.Fatalf("stream %v: %v, want %v", stream, err, want)
		}
		if err == nil {
			leave = append(leave, left)
		}
	}
	for range 3 {
		enter(true, true)
	}
	enter(true, false)
	enter(false, true)
	enter(false, true)
	enter(false, false)
	for _, left := range leave {
		left()
	}
	if s.inFlight.Load() != 0 || s.streaming.Load() != 0 {
		t.Errorf("%d in flight, %d streams are left", s.inFlight.Load(), s.streaming.Load())
	}
	enter(true, true)
	enter(false, true)
}
