package engine

import (
	"context"
	"errors"
	"log/slog"
	"strings"

	etcderrors "go.etcd.io/etcd/server/v3/etcdserver/errors"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// newZap gives etcd a logger whose warnings and errors go to log. What etcd
// tells at info level is of interest to its makers only.
func newZap(log *slog.Logger) *zap.Logger {
	return zap.New(&bridge{LevelEnabler: zapcore.WarnLevel, log: log.With("component", "etcd")})
}

// bridge is a zapcore.Core over slog.
type bridge struct {
	zapcore.LevelEnabler
	log *slog.Logger
}

// With implements zapcore.Core.
func (b *bridge) With(fields []zapcore.Field) zapcore.Core {
	return &bridge{LevelEnabler: b.LevelEnabler, log: b.log.With(args(fields)...)}
}

// Check implements zapcore.Core.
func (b *bridge) Check(entry zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if !b.Enabled(entry.Level) || isExpected(entry.Message) {
		return checked
	}
	return checked.AddCore(entry, b)
}

// Write implements zapcore.Core.
func (b *bridge) Write(entry zapcore.Entry, fields []zapcore.Field) error {
	level := slog.LevelWarn
	if entry.Level > zapcore.WarnLevel {
		level = slog.LevelError
	} else if isEnd(fields) {
		return nil
	}
	b.log.Log(context.Background(), level, entry.Message, args(fields)...) //nolint:sloglint // the message is etcd's
	return nil
}

// Sync implements zapcore.Core.
func (b *bridge) Sync() error { return nil }

func args(fields []zapcore.Field) []any {
	encoder := zapcore.NewMapObjectEncoder()
	list := make([]any, 0, 2*len(fields))
	for _, field := range fields {
		field.AddTo(encoder)
	}
	for key, value := range encoder.Fields {
		list = append(list, key, value)
	}
	return list
}

// isExpected recognises warnings that tell of nothing wrong: of a lone member
// that listens nowhere, of its first start, and of a stop.
func isExpected(message string) bool {
	for _, part := range []string{
		"Running http and grpc server on single port",
		"simple token is not cryptographically signed",
		"Failed to detect schema version",
		"failed to update storage version",
		"since there are still pending configuration changes to apply",
		"server has stopped; skipping GoAttach",
	} {
		if strings.Contains(message, part) {
			return true
		}
	}
	return false
}

// isEnd recognises what was given up because the member stops or the caller
// went away, as the first update of the cluster's version where the member stops
// soon after its start.
func isEnd(fields []zapcore.Field) bool {
	for _, field := range fields {
		err, _ := field.Interface.(error)
		for _, end := range []error{context.Canceled, etcderrors.ErrCanceled, etcderrors.ErrStopped} {
			if errors.Is(err, end) {
				return true
			}
		}
	}
	return false
}
