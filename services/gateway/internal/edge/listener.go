package edge

import (
	"errors"
	"fmt"

	"github.com/backlot-video/backlot/kit/address"
)

func (c *Config) checkListeners() (faults []error) {
	names := map[string]bool{}
	for i := range c.Listeners {
		l := &c.Listeners[i]
		for j := range c.Listeners[:i] {
			if other := &c.Listeners[j]; l.Address == other.Address {
				faults = append(faults, fmt.Errorf("listener %q: address: %s is that of listener %q", l.Name, l.Address, other.Name))
			} else if address.Overlap(l.Address, other.Address) {
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

// CheckBeside is what Check cannot know: that no listener meets the gateway's
// own address, which its settings name and not the configuration.
func (c *Config) CheckBeside(own string) error {
	var faults []error
	for i := range c.Listeners {
		if l := &c.Listeners[i]; l.Address == own || address.Overlap(l.Address, own) {
			faults = append(faults, fmt.Errorf("listener %q: address: %s meets the gateway's own, %s (--gateway.listen), which is open besides: choose another port",
				l.Name, l.Address, own))
		}
	}
	return errors.Join(faults...)
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
