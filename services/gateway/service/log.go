package service

import (
	"log"
	"log/slog"
)

// quiet sends net/http's remarks about single connections to the debug
// level.
func quiet(to *slog.Logger) *log.Logger { return slog.NewLogLogger(to.Handler(), slog.LevelDebug) }
