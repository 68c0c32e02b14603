package object

import (
	"net/netip"

	"google.golang.org/protobuf/proto"

	"github.com/backlot-video/backlot/kit/address"
	gatewayv1 "github.com/backlot-video/backlot/proto/gen/backlot/gateway/v1"
)

// Claim is what only one object of a kind may have among all of a tenant: the
// address of a Listener, which every gateway opens.
type Claim struct {
	Field   string // of the spec
	Address string // host:port; empty: nothing is claimed
}

// ClaimOf returns what a checked spec claims, false for nothing.
func ClaimOf(spec proto.Message) (Claim, bool) {
	l, is := spec.(*gatewayv1.Listener)
	if !is {
		return Claim{}, false
	}
	if _, err := netip.ParseAddrPort(l.GetAddress()); err != nil {
		return Claim{}, false
	}
	return Claim{Field: "address", Address: l.GetAddress()}, true
}

// Meets tells whether two claims cannot both be met: the gateway could open one
// of the addresses only.
func (c Claim) Meets(other Claim) bool { return address.Overlap(c.Address, other.Address) }
