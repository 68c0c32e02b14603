package mq

import (
	"errors"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

func FuzzDecode(f *testing.F) {
	envelope, err := NewEnvelope("main", "backlot.test.counted.v1", "key", wrapperspb.Int64(1))
	if err != nil {
		f.Fatal(err)
	}
	if err := complete(f.Context(), envelope, "test", 1); err != nil {
		f.Fatal(err)
	}
	data, err := encode(envelope)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte{})
	f.Add(data[:len(data)-1])
	f.Fuzz(func(t *testing.T, data []byte) {
		envelope, err := decode(data)
		if err != nil {
			if !errors.Is(err, ErrEnvelope) {
				t.Fatalf("%v is not ErrEnvelope", err)
			}
			return
		}
		again, err := encode(envelope)
		if err != nil && len(data) <= EnvelopeLimit/2 {
			t.Fatalf("%v does not encode: %v", envelope, err)
		}
		if back, err := decode(again); err == nil && !proto.Equal(back, envelope) {
			t.Fatalf("%v became %v", envelope, back)
		}
	})
}

func TestLaneKeepsAShard(t *testing.T) {
	for subject, want := range map[string]int{
		"backlot.test.counted.v1.0": 0, "backlot.test.counted.v1.7": 3, "backlot.test.counted.v1.63": 3,
		"backlot.test.counted.v1": 0, "backlot.": 0, "": 0, "backlot.x.-1": 0, "backlot.x.99999999999": 0,
	} {
		if got := laneOf(subject, 4); got != want {
			t.Errorf("%q: lane %d, want %d", subject, got, want)
		}
	}
}
