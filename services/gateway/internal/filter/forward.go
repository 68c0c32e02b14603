package filter

import (
	"bytes"
	"net/netip"

	"github.com/backlot-video/backlot/services/gateway/internal/exchange"
)

var (
	schemeHTTP  = []byte("http")
	schemeHTTPS = []byte("https")
	comma       = []byte(", ")
)

// forward tells the upstream where the request came from, in place of what
// the client said of it, but for hops that are trusted.
func (c *Chain) forward(x *exchange.Exchange) {
	fields := &x.Request.Fields
	passTrace(x)
	remote := addressText(x, x.Request.Remote.Addr())
	if c.env.config.TrustedHops > 0 {
		if before := joined(x, exchange.XForwardedFor); len(before) > 0 {
			remote = x.Arena.Join(before, comma, remote)
		}
		fields.Set(exchange.XRequestID, x.ID)
		fields.Set(exchange.XForwardedFor, remote)
		setMissing(fields, exchange.XForwardedHost, x.Request.Authority)
		setMissing(fields, exchange.XForwardedProto, scheme(&x.Request))
		return
	}
	fields.RemoveAll(forwarding)
	fields.Add(exchange.XRequestID, exchange.XRequestID.Bytes(), x.ID)
	fields.Add(exchange.XForwardedFor, exchange.XForwardedFor.Bytes(), remote)
	fields.Add(exchange.XForwardedHost, exchange.XForwardedHost.Bytes(), x.Request.Authority)
	fields.Add(exchange.XForwardedProto, exchange.XForwardedProto.Bytes(), scheme(&x.Request))
}

// forwarding is what clients may not say, and what is said in its place.
var forwarding = exchange.SetOf(exchange.XRequestID, exchange.Forwarded,
	exchange.XForwardedFor, exchange.XForwardedHost, exchange.XForwardedProto)

func scheme(r *exchange.Request) []byte {
	if r.Secure {
		return schemeHTTPS
	}
	return schemeHTTP
}

func setMissing(fields *exchange.Fields, id exchange.Name, value []byte) {
	if !fields.Has(id) {
		fields.Add(id, id.Bytes(), value)
	}
}

// joined is the value of a list field that may come in several lines.
func joined(x *exchange.Exchange, id exchange.Name) []byte {
	var value []byte
	for i := range x.Request.Fields {
		switch f := &x.Request.Fields[i]; {
		case f.ID != id:
		case value == nil:
			value = f.Value
		default:
			value = x.Arena.Join(value, comma, f.Value)
		}
	}
	return value
}

func addressText(x *exchange.Exchange, address netip.Addr) []byte {
	var room [64]byte
	return x.Arena.Copy(address.Unmap().AppendTo(room[:0]))
}

// from is the address of who began the request: who is connected, or where
// hops are trusted, who the farthest of them says was.
func from(x *exchange.Exchange, hops int) netip.Addr {
	remote := x.Request.Remote.Addr().Unmap()
	if hops == 0 {
		return remote
	}
	said := joined(x, exchange.XForwardedFor)
	for range hops {
		at := bytes.LastIndexByte(said, ',')
		address, err := netip.ParseAddr(string(bytes.TrimSpace(said[at+1:])))
		if err != nil {
			break
		}
		remote = address.Unmap()
		if at < 0 {
			break
		}
		said = said[:at]
	}
	return remote
}
