// Package telemetry makes a process visible from outside.
//
//	log.go      structured logs
//	metric.go   the Prometheus registry and its HTTP handler
//	trace.go    OpenTelemetry tracing with OTLP export when configured
//	health.go   readiness, and the handler of /healthz, /readyz, /metrics
//
// Interceptors that measure calls live in kit/rpc. Nothing here is global:
// what is made is passed on.
package telemetry

import (
	"fmt"
	"io"
	"log/slog"
)

// NewLogger writes records of at least level (debug, info, warn, error) as
// format (text, json).
func NewLogger(w io.Writer, level, format string) (*slog.Logger, error) {
	var at slog.Level
	if err := at.UnmarshalText([]byte(level)); err != nil {
		return nil, fmt.Errorf("log-level: %q is none of debug, info, warn, error", level)
	}
	options := &slog.HandlerOptions{Level: at}
	switch format {
	case "text":
		return slog.New(slog.NewTextHandler(w, options)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, options)), nil
	default:
		return nil, fmt.Errorf("log-format: %q is none of text, json", format)
	}
}
