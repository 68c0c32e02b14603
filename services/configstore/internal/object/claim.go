package object

import (
	"net/netip"

	"google.golang.org/protobuf/proto"

	gatewayv1 "github.com/backlot-video/backlot/proto/gen/backlot/gateway/v1"
)

// Claim is what only one object of a kind may have among all of a tenant: the
// address of a Listener, which every gateway opens.
type Claim struct {
	Field   string // of the spec
	Address netip.AddrPort
}

// ClaimOf returns what a checked spec claims, false for nothing.
func ClaimOf(spec proto.Message) (Claim, bool) {
	l, is := spec.(*gatewayv1.Listener)
	if !is {
		return Claim{}, false
	}
	address, err := netip.ParseAddrPort(l.GetAddress())
	return Claim{Field: "address", Address: address}, err == nil
}

// Meets tells whether two claims cannot both be met: one address, or one that
// stands for every address of the machine beside one of these.
func (c Claim) Meets(other Claim) bool {
	if !c.Address.IsValid() || c.Address.Port() != other.Address.Port() {
		return false
	}
	a, b := c.Address.Addr().Unmap(), other.Address.Addr().Unmap()
	return a == b || every(a, b) || every(b, a)
}

// every tells whether all stands for one as well: `::` does for IPv4 too.
func every(all, one netip.Addr) bool {
	return all.IsUnspecified() && (all.Is6() || one.Is4())
}
