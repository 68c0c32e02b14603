package service

import (
	"strings"
	"testing"

	"github.com/backlot-video/backlot/kit/config"
)

func TestDefaultsAreValidAndFaultsAreReportedTogether(t *testing.T) {
	s := New()
	set := config.New("test")
	s.RegisterFlags(set.Sub(s.Name()))
	if _, err := set.Parse(nil, nil); err != nil {
		t.Fatal(err)
	}
	if err := s.Validate(); err != nil {
		t.Errorf("defaults: %v", err)
	}
	s.config = Config{PaymentProvider: "bank", TestPaymentLimit: 0, Transit: -1, TenantWeights: "gold=0"}
	err := s.Validate()
	for _, field := range []string{"settlement.payment-provider", "settlement.test-payment-limit", "settlement.payout-provider", "settlement.compare-grace", "settlement.patience", "settlement.transit", "settlement.waiting-limit", "settlement.tenant-weights"} {
		if err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%v does not name %s", err, field)
		}
	}
}

func TestTenantWeightsAreRead(t *testing.T) {
	shares, err := weights("gold=4, silver=2")
	if err != nil || len(shares) != 2 || shares["gold"] != 4 || shares["silver"] != 2 {
		t.Errorf("got %v, %v", shares, err)
	}
	for _, bad := range []string{"gold", "=1", "gold=", "gold=1001", "gold=-1", "gold=1,gold=2", "gold=1,", strings.Repeat("a=1,", 2)} {
		if shares, err := weights(bad); err == nil {
			t.Errorf("%q gives %v", bad, shares)
		}
	}
}
