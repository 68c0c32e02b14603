package edge

import (
	"fmt"
	"net"
	"net/netip"
)

func (c *Config) checkListeners() (faults []error) {
	names := map[string]bool{}
	for i := range c.Listeners {
		l := &c.Listeners[i]
		for j := range c.Listeners[:i] {
			if other := &c.Listeners[j]; l.Address == other.Address {
				faults = append(faults, fmt.Errorf("listener %q: address: %s is that of listener %q", l.Name, l.Address, other.Name))
			} else if overlap(l.Address, other.Address) {
				faults = append(faults, fmt.Errorf("listener %q: address: %s takes connections of listener %q at %s: the system opens one of them only",
					l.Name, l.Address, other.Name, other.Address))
			}
		}
		if names[l.Name] {
			faults = append(faults, fmt.Errorf("listener %q appears twice", l.Name))
		}
		names[l.Name] = true
		faults = append(faults, c.checkListener(l)...)
	}
	return faults
}

// overlap tells addresses of which the system refuses the second: the same
// one, or the same port where one is of all addresses, which are those of IPv4
// and IPv6 however it is written. Names are not looked up.
func overlap(a, b string) bool {
	hostA, portA, errA := net.SplitHostPort(a)
	hostB, portB, errB := net.SplitHostPort(b)
	if errA != nil || errB != nil || portA != portB || portA == "0" || portA == "" {
		return false
	}
	hostA, hostB = bareAddress(hostA), bareAddress(hostB)
	return hostA == "" || hostB == "" || hostA == hostB
}

// bareAddress is one spelling of an address, empty for all of them.
func bareAddress(host string) string {
	address, err := netip.ParseAddr(host)
	switch {
	case err != nil:
		return host
	case address.IsUnspecified():
		return ""
	}
	return address.Unmap().String()
}

func (c *Config) checkListener(l *Listener) []error {
	k := &checker{config: c, object: fmt.Sprintf("listener %q", l.Name)}
	if l.Address == "" {
		k.addf("address", "is missing")
	}
	if l.TLS == nil {
		return k.faults
	}
	if len(l.TLS.Certificates) == 0 {
		k.addf("tls.certificates", "must name a secret")
	}
	for i, name := range l.TLS.Certificates {
		k.certificate(fmt.Sprintf("tls.certificates[%d]", i), name)
	}
	k.authority("tls.client_ca", l.TLS.ClientCA)
	if l.TLS.RequireClient && l.TLS.ClientCA == "" {
		k.addf("tls.require_client", "needs tls.client_ca")
	}
	return k.faults
}
