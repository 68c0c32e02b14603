package relay

import (
	"net/http"

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
