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
	s.config = Config{PaymentProvider: "bank", TestPaymentLimit: 0}
	err := s.Validate()
	for _, field := range []string{"settlement.payment-provider", "settlement.test-payment-limit", "settlement.payout-provider", "settlement.compare-grace"} {
		if err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%v does not name %s", err, field)
		}
	}
}
