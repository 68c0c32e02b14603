package lifecycle

import (
	"context"
	"net"
	"strings"
	"sync"
	"time"

	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
)

const (
	// leaseTime is how long an instance that died stays in the register.
	leaseTime = 15 * time.Second
	// registerRetry is the wait after a failed registration.
	registerRetry = 500 * time.Millisecond
	// deregisterTime bounds the farewell.
	deregisterTime = time.Second
)

// registration keeps one instance in the register until end.
type registration struct {
	client  configstorev1.RegistryServiceClient
	request *configstorev1.RegisterRequest
	host    *Host
	cancel  context.CancelFunc
	done    sync.WaitGroup
	// drainTime is 0 where nobody outside the process calls.
	drainTime time.Duration
}

// register makes a service known; nil where nobody could find it.
func (l *links) register(ctx context.Context, h *Host) *registration {
	if h.rpcListener == nil || !l.hasConfigstore() {
		return nil
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	r := &registration{
		client: configstorev1.NewRegistryServiceClient(h.dialer.Conn(configstoreName)),
		host:   h, cancel: cancel,
		request: &configstorev1.RegisterRequest{
			Instance: l.instance(h), LeaseSeconds: int32(leaseTime / time.Second),
		},
	}
	if l.process.settings.configstore != "" {
		r.drainTime = l.process.settings.drainTime
	}
	r.done.Go(func() { r.keep(ctx) })
	return r
}

func (l *links) instance(h *Host) *configstorev1.Instance {
	i := &configstorev1.Instance{
		Service: h.name, Address: l.reachable(h.rpcListener), Version: Version, Ready: true,
		Zone: l.process.settings.zone, Weight: uint32(l.process.settings.weight),
		Tls: l.serverTLS != nil && !strings.HasPrefix(address(h.rpcListener), "unix:"),
	}
	if h.kitexListener != nil {
		i.KitexAddress = l.reachable(h.kitexListener)
	}
	i.Id = l.process.folder.instanceID(h.name, i.GetAddress())
	return i
}

// reachable is a listener's address as others reach it.
func (l *links) reachable(listener net.Listener) string {
	own := address(listener)
	host := l.process.settings.advertise
	if host == "" || strings.HasPrefix(own, "unix:") {
		return own
	}
	_, port, err := net.SplitHostPort(own)
	if err != nil {
		return own
	}
	return net.JoinHostPort(host, port)
}

// address is `host:port` or `unix:/path`.
func address(listener net.Listener) string {
	if listener.Addr().Network() == "unix" {
		return "unix:" + listener.Addr().String()
	}
	return listener.Addr().String()
}

// keep renews the lease at a third of its time.
func (r *registration) keep(ctx context.Context) {
	lost := false
	for {
		wait := leaseTime / 3
		if err := r.renew(ctx); err != nil {
			if ctx.Err() != nil {
				return
			}
			if !lost {
				r.host.Log.Warn("registration failed and is repeated", "err", err)
			}
			lost, wait = true, registerRetry
		} else if lost {
			r.host.Log.Info("registered again")
			lost = false
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}

func (r *registration) renew(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, leaseTime/3)
	defer cancel()
	_, err := r.client.Register(ctx, r.request)
	return err
}

// sayGoodbye tells the register that instances are given no new calls, and waits
// once for others to hear it: a call that is on its way is not refused.
func sayGoodbye(ctx context.Context, all []*registration) {
	var longest time.Duration
	var mu sync.Mutex
	var telling sync.WaitGroup
	for _, r := range all {
		if r.drainTime <= 0 {
			continue
		}
		telling.Go(func() {
			if err := r.leave(ctx); err != nil {
				r.host.Log.Info("others could not be told to call no more", "err", err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			longest = max(longest, r.drainTime)
		})
	}
	telling.Wait()
	timer := time.NewTimer(longest)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// leave marks the instance as one that is given no new calls.
func (r *registration) leave(ctx context.Context) error {
	r.cancel()
	r.done.Wait()
	ctx, cancel := context.WithTimeout(ctx, deregisterTime)
	defer cancel()
	r.request.Instance.Ready = false
	_, err := r.client.Register(ctx, r.request)
	return err
}

// end takes the instance out of the register, unless it goes on in another
// process.
func (r *registration) end(ctx context.Context, gone bool) {
	r.cancel()
	r.done.Wait()
	if !gone {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, deregisterTime)
	defer cancel()
	_, err := r.client.Deregister(ctx, &configstorev1.DeregisterRequest{Id: r.request.GetInstance().GetId()})
	if err != nil {
		r.host.Log.Info("could not deregister; the lease will end", "err", err)
	}
}
