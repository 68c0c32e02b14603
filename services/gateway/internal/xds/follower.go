package xds

import (
	"fmt"
	"sync"
	"time"
)

// follower takes responses of the streams that follow each other, and puts the
// whole in force where they make one.
type follower struct {
	client *Client

	mu       sync.Mutex
	received *set   // newest, in force or not
	good     *set   // in force; not changed
	release  string // in force
	stale    bool   // what was received is not all in force
	builder  builder
	fault    string // why the newest set is not in force
}

// take applies an update. Its error is the reason to refuse the response; what
// was in force stays.
func (f *follower) take(u *update) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	err := f.received.apply(u)
	if err == nil {
		f.stale = f.stale || u.kind != manifestType && len(u.put)+len(u.removed) > 0 || u.whole
		err = f.adopt()
	}
	if err != nil {
		f.reject(err)
	}
	f.client.note(f.received.versions, f.fault)
	return err
}

// adopt puts the received set in force if it is whole and anything new.
func (f *follower) adopt() error {
	release, whole := f.received.complete()
	if !whole || !f.stale && release == f.release {
		return nil
	}
	began := time.Now()
	config, err := f.builder.config(f.received)
	if err == nil {
		err = f.client.config.Apply(config)
	}
	if err != nil {
		// It is to be sent again to a client that connects anew.
		delete(f.received.resources[manifestType], manifestName)
		return fmt.Errorf("release %s: %w", release, err)
	}
	f.release, f.stale, f.fault = release, false, ""
	f.client.metrics.taken.Inc()
	f.client.metrics.apply.Observe(time.Since(began).Seconds())
	f.good = f.received.clone()
	f.client.save(f.good)
	return nil
}

func (f *follower) reject(fault error) {
	f.client.metrics.refused.Inc()
	f.client.config.Log.Error("configuration refused; the old one stays in force", "err", fault)
	f.fault, f.stale = fault.Error(), true
}
