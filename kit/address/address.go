// Package address compares addresses that servers listen on. It opens none and
// looks no name up.
package address

import (
	"net"
	"net/netip"
)

// Overlap tells addresses, host:port, of which the system opens one only: the
// same one, or the same port where one is of all addresses, which are those of
// IPv4 and IPv6 however it is written, since Go opens both. Port 0 is another
// each time. What is no address overlaps with nothing.
func Overlap(a, b string) bool {
	hostA, portA, errA := net.SplitHostPort(a)
	hostB, portB, errB := net.SplitHostPort(b)
	if errA != nil || errB != nil || portA != portB || portA == "0" || portA == "" {
		return false
	}
	hostA, hostB = bare(hostA), bare(hostB)
	return hostA == "" || hostB == "" || hostA == hostB
}

// bare is one spelling of an address, empty for all of them.
func bare(host string) string {
	address, err := netip.ParseAddr(host)
	switch {
	case err != nil:
		return host
	case address.IsUnspecified():
		return ""
	}
	return address.Unmap().String()
}
