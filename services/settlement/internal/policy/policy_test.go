package policy

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"

	"buf.build/go/protovalidate"

	"github.com/backlot-video/backlot/kit/informer"
	moneyv1 "github.com/backlot-video/backlot/proto/gen/backlot/money/v1"
	settlementv1 "github.com/backlot-video/backlot/proto/gen/backlot/settlement/v1"
	"github.com/backlot-video/backlot/services/settlement/internal/split"
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
	if err != nil || len(got.Shares) != 2 || got.Shares[0].Payee.Kind != split.Creator || got.Shares[0].PPM != 900_000 {
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

func usd(minor int64) []*moneyv1.Money { return []*moneyv1.Money{{Minor: minor, Currency: "USD"}} }

func TestEveryPartOfAPolicyIsTaken(t *testing.T) {
	creator := &settlementv1.Share{Payee: settlementv1.Payee_PAYEE_CREATOR, Ppm: 600_000, Minimum: usd(5)}
	second := &settlementv1.Share{Payee: settlementv1.Payee_PAYEE_ACCOUNT, Account: "eve", Ppm: 300_000}
	affiliate := &settlementv1.Share{Payee: settlementv1.Payee_PAYEE_AFFILIATE, Ppm: 100_000, Fixed: usd(1), Maximum: usd(50)}
	spec := &settlementv1.SplitPolicy{
		TierBasis: settlementv1.TierBasis_TIER_BASIS_VOLUME,
		Tiers: []*settlementv1.Tier{
			{Shares: []*settlementv1.Share{creator, second, affiliate}},
			{From: usd(100_000), Shares: []*settlementv1.Share{{Payee: settlementv1.Payee_PAYEE_ACCOUNT, Account: "eve", Ppm: 1_000_000}}},
		},
		Remainder: &settlementv1.Remainder{Payee: settlementv1.Payee_PAYEE_ACCOUNT, Account: "eve"},
	}
	if err := protovalidate.Validate(spec); err != nil {
		t.Error(err)
	}
	amount := split.Amounts{{Minor: 1, Currency: "USD"}}
	got := convert(&informer.Object[*settlementv1.SplitPolicy]{Name: "tiers", ReleaseID: "r1", Spec: spec})
	first := got.Tiers[0].Shares
	if got.Version() != "tiers@r1" || got.Basis != split.ByVolume || got.Remainder.AccountID != "eve" || len(got.Tiers) != 2 ||
		first[0].Minimum[0].Minor != 5 || first[1].Payee != (split.Payee{Kind: split.Account, AccountID: "eve"}) ||
		first[2].Fixed[0] != amount[0] || first[2].Maximum[0].Minor != 50 || got.Tiers[1].From[0].Minor != 100_000 {
		t.Errorf("got %+v", got)
	}
	if err := got.Validate(); err != nil {
		t.Error(err)
	}
}

// TestContractRefusesWhatDoesNotSum is of the rules that the configstore
// applies before a policy is released.
func TestContractRefusesWhatDoesNotSum(t *testing.T) {
	share := func(payee settlementv1.Payee, ppm uint32, account string) *settlementv1.Share {
		return &settlementv1.Share{Payee: payee, Ppm: ppm, Account: account}
	}
	var accounts []*settlementv1.Share
	for i := range 16 {
		accounts = append(accounts, share(settlementv1.Payee_PAYEE_ACCOUNT, 62_500, strconv.Itoa(i)))
	}
	for says, spec := range map[string]*settlementv1.SplitPolicy{
		"":                                   {Shares: accounts},
		"must sum to 1000000":                {Shares: accounts[:15]},
		"a payee has one share at most":      {Shares: []*settlementv1.Share{share(1, 500_000, ""), share(1, 500_000, "")}},
		"account: must be set":               {Shares: []*settlementv1.Share{share(5, 1_000_000, "")}},
		"needs either shares or tiers":       {},
		"tier_basis: must be set":            {Tiers: []*settlementv1.Tier{{Shares: accounts}}},
		"tiers[0].shares: parts per million": {TierBasis: 1, Tiers: []*settlementv1.Tier{{Shares: accounts[:3]}}},
	} {
		err := protovalidate.Validate(spec)
		if (err == nil) != (says == "") || err != nil && !strings.Contains(strings.ReplaceAll(err.Error(), "tiers[0]: shares", "tiers[0].shares"), says) {
			t.Errorf("got %v, want %q", err, says)
		}
	}
}
