package payment

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/backlot-video/backlot/kit/money"
)

func TestTestProviderSaysWhatItIsAndKeepsItsLimit(t *testing.T) {
	var log bytes.Buffer
	p := NewTestProvider(100, slog.New(slog.NewTextHandler(&log, nil)))
	if !strings.Contains(log.String(), "test payment provider: no real money moves") {
		t.Errorf("log: %s", log.String())
	}
	charge := func(ctx context.Context, minor int64) error {
		return p.Charge(ctx, Charge{ID: "1", Amount: money.Amount{Minor: minor, Currency: "USD"}})
	}
	if err := charge(t.Context(), 100); err != nil {
		t.Error(err)
	}
	if err := charge(t.Context(), 101); !errors.Is(err, ErrDeclined) {
		t.Errorf("got %v, want ErrDeclined", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := charge(ended, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want Canceled", err)
	}
}
