package h2

import (
	"strconv"
	"unsafe"

	"golang.org/x/net/http2/hpack"

	"github.com/backlot-video/backlot/services/gateway/internal/exchange"
)

// The encoder keeps no dynamic table: a block does not depend on those before
// it, so that streams encode beside each other, outside of any lock.

// appendInt writes an integer with a prefix of so many bits (RFC 7541, 5.1).
func appendInt(to []byte, first byte, bits uint, n uint64) []byte {
	most := uint64(1)<<bits - 1
	if n < most {
		return append(to, first|byte(n))
	}
	to = append(to, first|byte(most))
	for n -= most; n >= 0x80; n >>= 7 {
		to = append(to, byte(n)|0x80)
	}
	return append(to, byte(n))
}

// appendText writes a string, by Huffman's code where that is shorter.
func appendText(to, value []byte) []byte {
	if len(value) == 0 {
		return append(to, 0)
	}
	text := unsafe.String(&value[0], len(value)) // not kept by the functions below
	if n := hpack.HuffmanEncodeLength(text); n < uint64(len(value)) {
		return hpack.AppendHuffmanString(appendInt(to, 0x80, 7, n), text)
	}
	return append(appendInt(to, 0, 7, uint64(len(value))), value...)
}

// appendName writes a name in lower case, plain.
func appendName(to, name []byte) []byte {
	to = appendInt(to, 0, 7, uint64(len(name)))
	for _, c := range name {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		to = append(to, c)
	}
	return to
}

// appendIndexed writes a field whose name is in the static table.
func appendIndexed(to []byte, index byte, value []byte) []byte {
	return appendText(appendInt(to, literalUnindexed, 4, uint64(index)), value)
}

func appendField(to []byte, id exchange.Name, name, value []byte) []byte {
	first := byte(literalUnindexed)
	if secret(id) {
		first = literalNeverStored
	}
	if index := staticNames[id]; index != 0 {
		to = appendInt(to, first, 4, uint64(index))
	} else {
		to = appendName(append(to, first), name)
	}
	return appendText(to, value)
}

func appendFields(to []byte, fields exchange.Fields) []byte {
	for i := range fields {
		if f := &fields[i]; f.ID != exchange.Removed && !ofConnection(f.ID) {
			to = appendField(to, f.ID, f.Name, f.Value)
		}
	}
	return to
}

func appendLength(to []byte, n int64) []byte {
	var digits [20]byte
	return appendIndexed(to, staticContentLen, strconv.AppendInt(digits[:0], n, 10))
}

// appendResponse writes the head of an answer. date is added where the answer
// has none; empty: never.
func appendResponse(to []byte, status int, r *exchange.Response, date []byte) []byte {
	if index := staticStatuses(status); index != 0 {
		to = append(to, indexed|index)
	} else {
		var digits [20]byte
		to = appendIndexed(to, staticStatus, strconv.AppendInt(digits[:0], int64(status), 10))
	}
	if status >= 200 && len(date) > 0 && !r.Fields.Has(exchange.Date) {
		to = appendIndexed(to, staticDate, date)
	}
	to = appendFields(to, r.Fields)
	if hasLength(status, r) {
		to = appendLength(to, r.Length)
	}
	return to
}

// hasLength tells whether an answer says its length. gRPC's trailers-only
// answers have no body to say it of.
func hasLength(status int, r *exchange.Response) bool {
	switch {
	case r.Length < 0, status < 200, status == 204, r.Upgrade != nil:
		return false
	case r.Length == 0:
		return !r.Fields.Has(exchange.GRPCStatus)
	default:
		return true
	}
}

// appendRequest writes the head of a request; secure says that it goes over
// TLS. An Upgrade becomes an extended CONNECT (RFC 8441).
func appendRequest(to []byte, r *exchange.Request, secure bool) []byte {
	switch method := string(r.Method); {
	case r.Upgrade != nil:
		to = appendIndexed(to, staticGET, []byte("CONNECT"))
		to = appendText(appendName(append(to, literalUnindexed), []byte(":protocol")), r.Upgrade)
	case method == "GET":
		to = append(to, indexed|staticGET)
	case method == "POST":
		to = append(to, indexed|staticPOST)
	default:
		to = appendIndexed(to, staticGET, r.Method)
	}
	scheme := byte(staticHTTP)
	if secure {
		scheme = staticHTTPS
	}
	to = append(to, indexed|scheme)
	to = appendPath(to, r)
	if len(r.Authority) > 0 {
		to = appendIndexed(to, staticAuthority, r.Authority)
	}
	to = appendFields(to, r.Fields)
	if r.Trailers {
		to = appendText(appendName(append(to, literalUnindexed), []byte("te")), []byte("trailers"))
	}
	if r.Length > 0 || r.Length == 0 && string(r.Method) != "GET" && string(r.Method) != "HEAD" && r.Upgrade == nil {
		to = appendLength(to, r.Length)
	}
	return to
}

func appendPath(to []byte, r *exchange.Request) []byte {
	if len(r.Path) == 1 && r.Path[0] == '/' && !r.HasQuery {
		return append(to, indexed|staticRoot)
	}
	if !r.HasQuery {
		return appendIndexed(to, staticRoot, r.Path)
	}
	whole := make([]byte, 0, 256) // stays on the stack unless the path is longer
	whole = append(append(append(whole, r.Path...), '?'), r.Query...)
	return appendIndexed(to, staticRoot, whole)
}
