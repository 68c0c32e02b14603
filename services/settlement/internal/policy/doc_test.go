package policy

import (
	"errors"
	"os"
	"strings"
	"testing"

	"buf.build/go/protovalidate"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/backlot-video/backlot/kit/informer"
	"github.com/backlot-video/backlot/kit/money"
	settlementv1 "github.com/backlot-video/backlot/proto/gen/backlot/settlement/v1"
	"github.com/backlot-video/backlot/services/settlement/internal/split"
)

// TestPoliciesOfTheGuideSplitAsItSays reads docs/money.md: each policy (a box
// of json) and the prices that follow it (a box of text).
func TestPoliciesOfTheGuideSplitAsItSays(t *testing.T) {
	guide, err := os.ReadFile("../../../../docs/money.md")
	if err != nil {
		t.Fatal(err)
	}
	boxes := strings.Split(string(guide), "```")
	var policy split.Policy
	policies, prices := 0, 0
	for i := 1; i < len(boxes); i += 2 {
		kind, text, _ := strings.Cut(boxes[i], "\n")
		switch kind {
		case "json":
			spec := new(settlementv1.SplitPolicy)
			if err := errors.Join(protojson.Unmarshal([]byte(text), spec), protovalidate.Validate(spec)); err != nil {
				t.Fatalf("%s: %v", text, err)
			}
			policy = convert(&informer.Object[*settlementv1.SplitPolicy]{Name: "guide", Spec: spec})
			policies++
		case "text":
			for line := range strings.Lines(text) {
				sale, want, _ := strings.Cut(strings.TrimSpace(line), ": ")
				if got := guideSplit(t, policy, sale); got != want {
					t.Errorf("%s: the policy gives %s, the guide says %s", sale, got, want)
				}
				prices++
			}
		}
	}
	if policies != 3 || prices != 9 {
		t.Errorf("read %d policies and %d prices", policies, prices)
	}
}

// guideSplit splits a sale such as `4.99 USD after 1000.00 USD`.
func guideSplit(t *testing.T, policy split.Policy, sale string) string {
	t.Helper()
	text, earned, tiered := strings.Cut(sale, " after ")
	price, err := money.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	before := money.Amount{Currency: price.Currency}
	if tiered {
		if before, err = money.Parse(earned); err != nil {
			t.Fatal(err)
		}
	}
	parts, err := policy.Split(split.Sale{Price: price, Earned: before})
	if errors.Is(err, split.ErrPrice) {
		return "refused"
	}
	if err != nil {
		t.Fatal(err)
	}
	names := map[split.Kind]string{split.Creator: "creator", split.Platform: "platform", split.Tax: "tax", split.Affiliate: "affiliate"}
	var all []string
	for _, part := range parts {
		name := names[part.Payee.Kind]
		if part.Payee.Kind == split.Account {
			name = part.Payee.AccountID
		}
		all = append(all, name+" "+part.Amount.Format())
	}
	return strings.Join(all, ", ")
}
