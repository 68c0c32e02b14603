package object

import (
	"net"
	"net/netip"
	"strconv"

	gatewayv1 "github.com/backlot-video/backlot/proto/gen/backlot/gateway/v1"
)

func (f *finder) cluster(c *gatewayv1.Cluster) {
	seen := make(map[string]bool, len(c.GetStatic().GetAddresses())+len(c.GetStatic().GetEndpoints()))
	once := func(list string, n int, field, address string) {
		if !isAddress(address) {
			f.address(at(list, n)+field, address)
		}
		if seen[address] {
			f.addf(at(list, n)+field, "%q is given twice; for a larger share use endpoints with a weight", address)
		}
		seen[address] = true
	}
	for n, address := range c.GetStatic().GetAddresses() {
		once("static.addresses", n, "", address)
	}
	for n, endpoint := range c.GetStatic().GetEndpoints() {
		once("static.endpoints", n, ".address", endpoint.GetAddress())
	}
	if name := c.GetTls().GetServerName(); c.GetTls() != nil && !isHost(name) {
		f.addf("tls.server_name", "%q is no host name", name)
	}
	if o := c.GetOutlierDetection(); o.GetBaseEject() != nil && o.GetMaxEject() != nil && o.GetBaseEject().AsDuration() > o.GetMaxEject().AsDuration() {
		f.addf("outlier_detection.base_eject", "is above max_eject")
	}
	h := c.GetHealthCheck()
	if host := h.GetHttp().GetHost(); host != "" && !isHost(host) {
		f.addf("health_check.http.host", "%q is no host name", host)
	}
	if h.GetHttp() != nil {
		f.spaced("health_check.http.path", h.GetHttp().GetPath())
	}
}

func (f *finder) listener(l *gatewayv1.Listener) {
	host, text, err := net.SplitHostPort(l.GetAddress())
	port, portErr := strconv.ParseUint(text, 10, 16)
	if _, addressErr := netip.ParseAddr(host); err != nil || portErr != nil || port == 0 || addressErr != nil {
		f.addf("address", "%q is not ip:port; 0.0.0.0:443 and [::]:443 mean every address of the machine", l.GetAddress())
	}
	if l.GetTls().GetRequireClientCertificate() && l.GetTls().GetClientAuthority() == "" {
		f.addf("tls.require_client_certificate", "needs tls.client_authority, by which certificates are verified")
	}
}
