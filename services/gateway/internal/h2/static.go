package h2

import "github.com/backlot-video/backlot/services/gateway/internal/exchange"

// Indices of HPACK's static table (RFC 7541, appendix A).
const (
	staticAuthority    = 1
	staticGET          = 2
	staticPOST         = 3
	staticRoot         = 4
	staticHTTP         = 6
	staticHTTPS        = 7
	staticStatus       = 8
	staticContentLen   = 28
	staticDate         = 33
	indexed            = 0x80
	literalUnindexed   = 0x00
	literalNeverStored = 0x10
)

// staticStatuses are the answers that the table holds whole.
func staticStatuses(status int) byte {
	switch status {
	case 200:
		return 8
	case 204:
		return 9
	case 206:
		return 10
	case 304:
		return 11
	case 400:
		return 12
	case 404:
		return 13
	case 500:
		return 14
	default:
		return 0
	}
}

// staticNames are the indices of names that the relay knows by number.
var staticNames = [256]byte{
	exchange.Accept: 19, exchange.AcceptEncoding: 16, exchange.Age: 21, exchange.Allow: 22,
	exchange.Authorization: 23, exchange.CacheControl: 24, exchange.ContentEncoding: 26,
	exchange.ContentLength: 28, exchange.ContentRange: 30, exchange.ContentType: 31, exchange.Cookie: 32,
	exchange.Date: 33, exchange.ETag: 34, exchange.Expect: 35, exchange.Host: 38, exchange.LastModified: 44,
	exchange.Location: 46, exchange.ProxyAuthenticate: 48, exchange.ProxyAuthorization: 49, exchange.Range: 50,
	exchange.RetryAfter: 53, exchange.Server: 54, exchange.SetCookie: 55, exchange.TransferEncoding: 57,
	exchange.UserAgent: 58, exchange.Vary: 59, exchange.Via: 60, exchange.WWWAuthenticate: 61,
}

// ofConnection tells names that HTTP/2 does not have (RFC 9113, 8.2.2).
func ofConnection(id exchange.Name) bool {
	switch id {
	case exchange.Connection, exchange.KeepAlive, exchange.ProxyConnection, exchange.TransferEncoding, exchange.Upgrade:
		return true
	default:
		return false
	}
}

// secret tells names whose values no table may keep.
func secret(id exchange.Name) bool {
	switch id {
	case exchange.Authorization, exchange.Cookie, exchange.SetCookie, exchange.ProxyAuthorization,
		exchange.XAPIKey, exchange.BacklotPrincipal:
		return true
	default:
		return false
	}
}
