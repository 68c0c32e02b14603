package canary

import (
	"time"

	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
)

// forgiveAfter is when a chosen instance that is not heard of any more counts
// as gone for good, and is not waited for: machines come and go.
const forgiveAfter = 5 * time.Minute

// window is what instances have counted since a step of a canary began, or
// since this member began to look.
type window struct {
	step      int32
	instances map[string]*counted
}

// counted is one instance's.
type counted struct {
	startedAt int64
	last, sum map[string][2]uint64 // good and bad, by name
	chosen    bool
	heard     time.Time
}

func newWindow(step int32) *window { return &window{step: step, instances: make(map[string]*counted)} }

// take adds what was reported. Counters of a process that was started anew
// begin at nothing.
func (w *window) take(all []standing, now time.Time) {
	for _, s := range all {
		report := s.entry.Report
		i := w.instances[s.entry.ID()]
		if i == nil {
			i = &counted{startedAt: report.GetStartedAt(), last: make(map[string][2]uint64), sum: make(map[string][2]uint64)}
			w.instances[s.entry.ID()] = i
			for _, h := range report.GetHealth() {
				i.last[h.GetName()] = [2]uint64{h.GetGood(), h.GetBad()}
			}
		}
		if i.startedAt != report.GetStartedAt() {
			i.startedAt = report.GetStartedAt()
			clear(i.last)
		}
		i.chosen, i.heard = s.chosen, now
		for _, h := range report.GetHealth() {
			i.add(h)
		}
	}
	for id, i := range w.instances {
		if now.Sub(i.heard) > forgiveAfter {
			delete(w.instances, id)
		}
	}
}

func (i *counted) add(h *configstorev1.Health) {
	last, sum := i.last[h.GetName()], i.sum[h.GetName()]
	if h.GetGood() >= last[0] && h.GetBad() >= last[1] {
		sum[0], sum[1] = sum[0]+h.GetGood()-last[0], sum[1]+h.GetBad()-last[1]
	}
	i.last[h.GetName()], i.sum[h.GetName()] = [2]uint64{h.GetGood(), h.GetBad()}, sum
}

func (w *window) since(id, health string) (good, bad uint64) {
	if i := w.instances[id]; i != nil {
		return i.sum[health][0], i.sum[health][1]
	}
	return 0, 0
}

// missing is a chosen instance that was heard of in this step and is not now.
func (w *window) missing(now time.Time) (id string, found bool) {
	for one, i := range w.instances {
		if i.chosen && i.heard.Before(now) && (!found || one < id) {
			id, found = one, true
		}
	}
	return id, found
}
