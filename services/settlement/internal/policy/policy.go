// Package policy holds the split policies, configuration objects of kind
// SplitPolicy, as the ledger takes them. It follows the configstore and serves
// from memory; a store that is down is not noticed. It is safe for concurrent
// use.
package policy

import (
	"errors"
	"fmt"

	"github.com/backlot-video/backlot/kit/informer"
	settlementv1 "github.com/backlot-video/backlot/proto/gen/backlot/settlement/v1"
	"github.com/backlot-video/backlot/services/settlement/internal/ledger"
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
func (p *Policies) Policy(name string) (ledger.SplitPolicy, error) {
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
		return ledger.SplitPolicy{}, ErrNotReady
	}
	if name == DefaultName {
		return convert(&informer.Object[*settlementv1.SplitPolicy]{Name: DefaultName, Spec: Default()}), nil
	}
	return ledger.SplitPolicy{}, fmt.Errorf("%w: %s", ErrUnknown, name)
}

var purposes = map[settlementv1.Payee]ledger.Purpose{
	settlementv1.Payee_PAYEE_CREATOR:  ledger.Earnings,
	settlementv1.Payee_PAYEE_PLATFORM: ledger.Platform,
	settlementv1.Payee_PAYEE_TAX:      ledger.Tax,
}

// convert keeps unknown payees as an empty purpose, which the ledger refuses.
func convert(object *informer.Object[*settlementv1.SplitPolicy]) ledger.SplitPolicy {
	policy := ledger.SplitPolicy{Name: object.Name, Release: object.ReleaseID}
	for _, share := range object.Spec.GetShares() {
		policy.Shares = append(policy.Shares, ledger.Share{Purpose: purposes[share.GetPayee()], PPM: share.GetPpm()})
	}
	return policy
}
