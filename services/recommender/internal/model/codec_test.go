package model

import (
	"crypto/sha256"
	"errors"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/backlot-video/backlot/services/recommender/internal/als"
	"github.com/backlot-video/backlot/services/recommender/internal/blas"
)

func sample(t testing.TB, version string) *Model {
	t.Helper()
	items, err := blas.New(3, 2)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(items.Close)
	copy(items.Data(), []float32{1, -2, 3.5, 0, 1e-9, 7})
	return &Model{
		Version: version, Tenant: "main", TrainedAt: time.UnixMicro(1_700_000_000_123_456).UTC(),
		TrainingTime: 1500 * time.Millisecond, Backend: "go", Viewers: 10, Views: 99,
		Config:     als.Config{Factors: 2, Sweeps: 3, Steps: 4, Alpha: 0.5, Lambda: 0.25, Exponent: 1, Seed: math.MaxUint64},
		Popularity: 0.2,
		Quality:    Quality{Recall: 0.5, NDCG: 0.25, PopularityRecall: 0.125, PopularityNDCG: 0.0625, Viewers: 5},
		Videos:     []string{"a", "", strings.Repeat("z", 255)}, Counts: []uint32{3, 0, math.MaxUint32}, Items: items,
	}
}

func encode(t testing.TB, m *Model) []byte {
	t.Helper()
	data, err := Encode(m)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestDecodeReturnsWhatWasEncoded(t *testing.T) {
	want := sample(t, "v1")
	got, err := Decode(encode(t, want))
	if err != nil {
		t.Fatal(err)
	}
	defer got.Close()
	if !slices.Equal(got.Items.Data(), want.Items.Data()) {
		t.Errorf("factors are %v", got.Items.Data())
	}
	a, b := *got, *want
	a.Items, b.Items = nil, nil
	if !reflect.DeepEqual(a, b) {
		t.Errorf("got %+v, want %+v", a, b)
	}
}

func TestDecodeRefusesEveryDamage(t *testing.T) {
	data := encode(t, sample(t, "v1"))
	for n := range data {
		if _, err := Decode(data[:n]); !errors.Is(err, ErrInvalid) {
			t.Fatalf("cut to %d bytes: %v", n, err)
		}
		damaged := slices.Clone(data)
		damaged[n] ^= 0x10
		if _, err := Decode(damaged); !errors.Is(err, ErrInvalid) {
			t.Fatalf("byte %d changed: %v", n, err)
		}
	}
	if _, err := Decode(append(data, 0)); !errors.Is(err, ErrInvalid) {
		t.Errorf("a byte more: %v", err)
	}
}

func TestDecodeNamesANewerFormat(t *testing.T) {
	data := encode(t, sample(t, "v1"))
	data[len(magic)] = format + 1
	if _, err := Decode(data); err == nil || !strings.Contains(err.Error(), "format 2") {
		t.Errorf("got %v", err)
	}
}

func TestEncodeRefusesWhatItCouldNotRead(t *testing.T) {
	for name, spoil := range map[string]func(*Model){
		"long id":     func(m *Model) { m.Videos[0] = strings.Repeat("x", 256) },
		"lengths":     func(m *Model) { m.Counts = m.Counts[:2] },
		"no version":  func(m *Model) { m.Version = "" },
		"no factors":  func(m *Model) { m.Items = nil },
		"config":      func(m *Model) { m.Config.Factors = 3 },
		"popularity":  func(m *Model) { m.Popularity = float32(math.NaN()) },
		"bad lambda":  func(m *Model) { m.Config.Lambda = float32(math.NaN()) },
		"bad alpha":   func(m *Model) { m.Config.Alpha = -1 },
		"long tenant": func(m *Model) { m.Tenant = strings.Repeat("x", 256) },
	} {
		m := sample(t, "v1")
		spoil(m)
		if _, err := Encode(m); err == nil {
			t.Errorf("%s was encoded", name)
		}
	}
}

// FuzzDecode makes the checksum right, so that the fuzzer gets behind it.
func FuzzDecode(f *testing.F) {
	data := encode(f, sample(f, "v1"))
	f.Add(data[head : len(data)-sha256.Size])
	f.Add([]byte{})
	f.Add(slices.Repeat([]byte{0xff}, 300))
	f.Fuzz(func(t *testing.T, body []byte) {
		data := append([]byte(magic), format, 0, 0, 0)
		data = append(data, body...)
		sum := sha256.Sum256(data)
		data = append(data, sum[:]...)
		m, err := Decode(data)
		if err != nil {
			if !errors.Is(err, ErrInvalid) {
				t.Fatalf("unexpected error: %v", err)
			}
			return
		}
		defer m.Close()
		if again := encode(t, m); !slices.Equal(again, data) {
			t.Fatal("encoding the decoded model gives other bytes")
		}
	})
}
