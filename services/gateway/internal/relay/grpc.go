package relay

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/backlot-video/backlot/services/gateway/internal/exchange"
)

// grpcStatuses are the HTTP statuses that codes of gRPC stand for when an
// endpoint is judged: only what is the server's fault counts.
var grpcStatuses = map[string]int{
	"2": http.StatusInternalServerError, "4": http.StatusGatewayTimeout, "8": http.StatusTooManyRequests,
	"12": http.StatusNotImplemented, "13": http.StatusInternalServerError, "14": http.StatusServiceUnavailable,
	"15": http.StatusInternalServerError,
}

// grpcStatus is the status by which an endpoint is judged.
func grpcStatus(status int, trailers, fields exchange.Fields) int {
	if status != http.StatusOK {
		return status
	}
	code := trailers.Get(exchange.GRPCStatus)
	if code == nil {
		code = fields.Get(exchange.GRPCStatus)
	}
	if found := grpcStatuses[string(code)]; found != 0 {
		return found
	}
	return status
}

// grpcUnits are those of a Grpc-Timeout.
var grpcUnits = map[byte]time.Duration{
	'H': time.Hour, 'M': time.Minute, 'S': time.Second,
	'm': time.Millisecond, 'u': time.Microsecond, 'n': time.Nanosecond,
}

// longestWait is long enough for any call.
const longestWait = 365 * 24 * time.Hour

// grpcGrace is what upstreams get beyond the time that a client waits: they
// are told it too, and end a call in the way that clients read best, by
// trailers in the middle of what they stream.
const grpcGrace = 250 * time.Millisecond

// grpcTimeout is how long the client of a gRPC call waits; 0: it does not say.
func grpcTimeout(q *exchange.Request) time.Duration {
	value := q.Fields.Get(exchange.GRPCTimeout)
	if len(value) < 2 || len(value) > 9 { // at most 8 digits, says gRPC
		return 0
	}
	n, err := strconv.ParseUint(string(value[:len(value)-1]), 10, 32)
	if err != nil {
		return 0
	}
	unit := grpcUnits[value[len(value)-1]]
	return min(time.Duration(n), longestWait/max(unit, 1)) * unit
}

// grpcCodes are the numbers of Connect's codes.
var grpcCodes = map[string]int{
	"canceled": 1, "unknown": 2, "invalid_argument": 3, "deadline_exceeded": 4, "not_found": 5, "already_exists": 6,
	"permission_denied": 7, "resource_exhausted": 8, "failed_precondition": 9, "aborted": 10, "out_of_range": 11,
	"unimplemented": 12, "internal": 13, "unavailable": 14, "data_loss": 15, "unauthenticated": 16,
}

// speakGRPC puts a refusal into the form in which clients of gRPC read it: an
// answer of trailers only.
func speakGRPC(x *exchange.Exchange) {
	if x.Response.Status < http.StatusBadRequest || !isGRPC(&x.Request) {
		return
	}
	var said struct{ Code, Message string }
	_ = json.Unmarshal(x.Answer, &said) // what is not ours has no code
	code, known := grpcCodes[said.Code]
	switch {
	case x.Response.Status == http.StatusNotFound && x.Route == nil:
		code = grpcCodes["unimplemented"]
	case !known:
		code = grpcCodes["unknown"]
	}
	fields := &x.Response.Fields
	// With the codec that the client asked in: it looks for no other.
	fields.Set(exchange.ContentType, x.Request.Fields.Get(exchange.ContentType))
	fields.Set(exchange.GRPCStatus, x.Arena.Int(int64(code)))
	fields.Add(exchange.Other, []byte("grpc-message"), grpcMessage(said.Message))
	x.Response.Status, x.Response.Length, x.Answer = http.StatusOK, 0, nil
}

// grpcMessage escapes what may not stand in a field.
func grpcMessage(text string) []byte {
	const digits = "0123456789ABCDEF"
	escaped := make([]byte, 0, len(text))
	for i := range len(text) {
		if c := text[i]; c < ' ' || c > '~' || c == '%' {
			escaped = append(escaped, '%', digits[c>>4], digits[c&15])
			continue
		}
		escaped = append(escaped, text[i])
	}
	return escaped
}
