package service

import (
	"context"
	"sync"

	"github.com/backlot-video/backlot/kit/lifecycle"
	"github.com/backlot-video/backlot/services/gateway/internal/filter/accesslog"
)

// access is the access log with the goroutine that writes it. It outlives the
// requests that are drained.
type access struct {
	log  *accesslog.Log // nil: none
	stop context.CancelFunc
	work sync.WaitGroup
}

func (a *access) open(config Config, host *lifecycle.Host) error {
	if config.AccessLog == "" {
		return nil
	}
	opened, err := accesslog.Open(accesslog.Config{
		Path: config.AccessLog, MaxBytes: config.AccessLogSize, Log: host.Log, Registerer: host.Registerer,
	})
	if err != nil {
		return err
	}
	a.log = opened
	ctx, stop := context.WithCancel(context.Background())
	a.stop = stop
	a.work.Go(func() {
		if err := opened.Run(ctx); err != nil {
			host.Log.Error("access log cannot be closed", "err", err)
		}
	})
	return nil
}

// close writes what is left.
func (a *access) close() {
	if a.log != nil {
		a.stop()
		a.work.Wait()
	}
}
