package worker

import (
	"context"
	"sync"
	"time"

	"github.com/backlot-video/backlot/services/transcoder/internal/job"
)

// live knows the jobs that run in this process, as they are now.
type live struct {
	mu       sync.Mutex
	jobs     map[string]*running
	watchers map[string]map[chan struct{}]bool
}

type running struct {
	job    job.Job
	cancel context.CancelCauseFunc
}

func newLive() live {
	return live{jobs: map[string]*running{}, watchers: map[string]map[chan struct{}]bool{}}
}

func (l *live) begin(j job.Job, cancel context.CancelCauseFunc) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.jobs[j.ID] = &running{job: j, cancel: cancel}
	l.notify(j.ID)
}

// set replaces a running job after a change in the store; it keeps progress
// that the store does not know yet.
func (l *live) set(j job.Job) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r := l.jobs[j.ID]; r != nil {
		j.Progress = max(j.Progress, r.job.Progress)
		r.job = j
	}
	l.notify(j.ID)
}

func (l *live) advance(id string, ppm uint32, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r := l.jobs[id]; r != nil && r.job.Advance(ppm, now) {
		l.notify(id)
	}
}

// get returns a job that runs here.
func (l *live) get(id string) (job.Job, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r := l.jobs[id]; r != nil {
		return r.job, true
	}
	return job.Job{}, false
}

func (l *live) end(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.jobs, id)
	l.notify(id)
}

func (l *live) changed(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.notify(id)
}

// overlay returns j with its newest progress, if j is of the attempt that runs.
func (l *live) overlay(j job.Job) job.Job {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r := l.jobs[j.ID]; r != nil && r.job.Attempt == j.Attempt && j.State.Running() {
		j.Advance(r.job.Progress, r.job.Updated)
	}
	return j
}

// cancel ends a job that runs here and tells whether one did.
func (l *live) cancel(id string, cause error) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.jobs[id]
	if r == nil {
		return false
	}
	r.cancel(cause)
	l.notify(id)
	return true
}

func (l *live) watch(id string) (<-chan struct{}, func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := make(chan struct{}, 1)
	if l.watchers[id] == nil {
		l.watchers[id] = map[chan struct{}]bool{}
	}
	l.watchers[id][c] = true
	return c, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.watchers[id], c)
		if len(l.watchers[id]) == 0 {
			delete(l.watchers, id)
		}
	}
}

// notify is called with mu held.
func (l *live) notify(id string) {
	for c := range l.watchers[id] {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}
