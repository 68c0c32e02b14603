// Package policy holds the split policies, configuration objects of kind
// SplitPolicy, as package split takes them. It follows the configstore and serves
// from memory; a store that is down is not noticed. It is safe for concurrent
// use.
package policy

import (
	"errors"
	"fmt"

	"github.com/backlot-video/backlot/kit/informer"
	"github.com/backlot-video/backlot/kit/money"
	moneyv1 "github.com/backlot-video/backlot/proto/gen/backlot/money/v1"
	settlementv1 "github.com/backlot-video/backlot/proto/gen/backlot/settlement/v1"
	"github.com/backlot-video/backlot/services/settlement/internal/split"
)

// Kind is the kind of the objects.
const Kind = "SplitPolicy"

// DefaultName is the policy of sales that name none.
const DefaultName = "default"

var (
	// ErrUnknown means that there is no policy of this name.
	ErrUnknown = errors.New("no such split policy")
	// ErrNotReady means that the policies are not known yet.
	ErrNotReady = errors.New("split policies are not known yet")
)

// Default is the policy that settlement brings along: 70% to the creator, 20%
// to the platform, 10% tax.
func Default() *settlementv1.SplitPolicy {
	return &settlementv1.SplitPolicy{Shares: []*settlementv1.Share{
		{Payee: settlementv1.Payee_PAYEE_CREATOR, Ppm: 700_000},
		{Payee: settlementv1.Payee_PAYEE_PLATFORM, Ppm: 200_000},
		{Payee: settlementv1.Payee_PAYEE_TAX, Ppm: 100_000},
	}}
}

// Policies looks policies up.
type Policies struct {
	informer *informer.Informer[*settlementv1.SplitPolicy]
}

// New makes Policies of an informer, which the caller runs.
func New(informer *informer.Informer[*settlementv1.SplitPolicy]) *Policies {
	return &Policies{informer: informer}
}

// Policy returns the policy of a name, the empty one meaning DefaultName, which
// is Default as long as there is no object of that name. It returns ErrUnknown,
// or ErrNotReady before the objects were listed for the first time.
func (p *Policies) Policy(name string) (split.Policy, error) {
	if name == "" {
		name = DefaultName
	}
	object, found := p.informer.Object("", name)
	if found {
		return convert(object), nil
	}
	select {
	case <-p.informer.Synced():
	default:
		return split.Policy{}, ErrNotReady
	}
	if name == DefaultName {
		return convert(&informer.Object[*settlementv1.SplitPolicy]{Name: DefaultName, Spec: Default()}), nil
	}
	return split.Policy{}, fmt.Errorf("%w: %s", ErrUnknown, name)
}

var kinds = map[settlementv1.Payee]split.Kind{
	settlementv1.Payee_PAYEE_CREATOR:   split.Creator,
	settlementv1.Payee_PAYEE_PLATFORM:  split.Platform,
	settlementv1.Payee_PAYEE_TAX:       split.Tax,
	settlementv1.Payee_PAYEE_AFFILIATE: split.Affiliate,
	settlementv1.Payee_PAYEE_ACCOUNT:   split.Account,
}

// convert keeps what is not known as a zero, which the policy's validation
// refuses.
func convert(object *informer.Object[*settlementv1.SplitPolicy]) split.Policy {
	spec := object.Spec
	policy := split.Policy{
		Name: object.Name, Release: object.ReleaseID,
		Shares: shares(spec.GetShares()), Basis: split.Basis(spec.GetTierBasis()), // of the same numbers
	}
	for _, tier := range spec.GetTiers() {
		policy.Tiers = append(policy.Tiers, split.Tier{From: amounts(tier.GetFrom()), Shares: shares(tier.GetShares())})
	}
	if remainder := spec.GetRemainder(); remainder != nil {
		policy.Remainder = &split.Payee{Kind: kinds[remainder.GetPayee()], AccountID: remainder.GetAccount()}
	}
	return policy
}

func shares(messages []*settlementv1.Share) []split.Share {
	var all []split.Share
	for _, share := range messages {
		all = append(all, split.Share{
			Payee: split.Payee{Kind: kinds[share.GetPayee()], AccountID: share.GetAccount()}, PPM: share.GetPpm(),
			Fixed: amounts(share.GetFixed()), Minimum: amounts(share.GetMinimum()), Maximum: amounts(share.GetMaximum()),
		})
	}
	return all
}

func amounts(messages []*moneyv1.Money) split.Amounts {
	var all split.Amounts
	for _, amount := range messages {
		all = append(all, money.Amount{Minor: amount.GetMinor(), Currency: amount.GetCurrency()})
	}
	return all
}
