package policy

import (
	"context"
	"errors"
	"testing"

	"github.com/backlot-video/backlot/kit/informer"
	settlementv1 "github.com/backlot-video/backlot/proto/gen/backlot/settlement/v1"
	"github.com/backlot-video/backlot/services/settlement/internal/ledger"
)

func follow(t *testing.T, source informer.Source) (*Policies, *informer.Informer[*settlementv1.SplitPolicy]) {
	t.Helper()
	objects := informer.New[*settlementv1.SplitPolicy](source, Kind, informer.Config{})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = objects.Run(ctx)
	}()
	t.Cleanup(func() { cancel(); <-done })
	return New(objects), objects
}

func TestPolicyComesFromTheConfigstore(t *testing.T) {
	source := informer.NewStatic()
	source.Put(Kind, "default", "premium", &settlementv1.SplitPolicy{Shares: []*settlementv1.Share{
		{Payee: settlementv1.Payee_PAYEE_CREATOR, Ppm: 900_000}, {Payee: settlementv1.Payee_PAYEE_TAX, Ppm: 100_000},
	}})
	source.Put(Kind, "default", DefaultName, Default())
	policies, objects := follow(t, source)
	if err := objects.WaitSynced(t.Context()); err != nil {
		t.Fatal(err)
	}
	got, err := policies.Policy("premium")
	if err != nil || len(got.Shares) != 2 || got.Shares[0] != (ledger.Share{Purpose: ledger.Earnings, PPM: 900_000}) {
		t.Errorf("got %+v, %v", got, err)
	}
	got, err = policies.Policy("")
	if err != nil || got.Name != DefaultName || len(got.Shares) != 3 {
		t.Errorf("default: %+v, %v", got, err)
	}
	if _, err := policies.Policy("none"); !errors.Is(err, ErrUnknown) {
		t.Errorf("got %v, want ErrUnknown", err)
	}
}

func TestDefaultNeedsNoObject(t *testing.T) {
	policies, objects := follow(t, informer.NewStatic())
	if err := objects.WaitSynced(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, err := policies.Policy(""); err != nil || got.Version() != DefaultName || got.Shares[2].PPM != 100_000 {
		t.Errorf("got %+v, %v", got, err)
	}
	unsynced := New(informer.New[*settlementv1.SplitPolicy](informer.NewStatic(), Kind, informer.Config{}))
	if _, err := unsynced.Policy(""); !errors.Is(err, ErrNotReady) {
		t.Errorf("before the first listing: got %v, want ErrNotReady", err)
	}
}
