package service

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/backlot-video/backlot/kit/config"
	rulesv1 "github.com/backlot-video/backlot/proto/gen/backlot/rules/v1"
	"github.com/backlot-video/backlot/services/rules/internal/catalog"
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
	s.config = Config{Dir: filepath.Join(t.TempDir(), "nowhere"), VelocityBytes: 1}
	err := s.Validate()
	for _, field := range []string{"rules.dir", "rules.velocity-bytes"} {
		if err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%v does not name %s", err, field)
		}
	}
}

func TestTheRulesetOfANewInstallationIsGood(t *testing.T) {
	c := catalog.New(catalog.Config{Dir: t.TempDir(), Clock: time.Now})
	if err := c.AddBuiltin((*rulesv1.PaymentFact)(nil).ProtoReflect().Descriptor()); err != nil {
		t.Fatal(err)
	}
	spec := defaultRuleset()
	checked, err := c.Check(paymentsName, spec.GetFactType(), spec.GetSource())
	if err != nil || len(checked.Errors) > 0 || len(checked.Failed) > 0 || checked.Tests < 5 {
		t.Fatalf("%v\n%v\n%+v", err, checked.Errors, checked.Failed)
	}
	if checked.Formatted != spec.GetSource() {
		t.Errorf("payments.rules is not in canonical form:\n%s", checked.Formatted)
	}
}
