package h2

import "sync"

// workers are the goroutines that serve streams, kept for the next one while
// their stacks are warm. The zero value needs most.
type workers struct {
	most int // at once

	mu      sync.Mutex
	ended   sync.Cond
	count   int
	idle    []*worker // the last to end is the first to be taken
	stopped bool
}

// keptWorkers is how many idle ones are kept.
const keptWorkers = 128

type worker struct{ next chan *served }

func newWorkers(most int) *workers {
	w := &workers{most: most}
	w.ended.L = &w.mu
	return w
}

// run serves a stream on a goroutine; false: there are too many.
func (w *workers) run(s *served) bool {
	w.mu.Lock()
	if n := len(w.idle); n > 0 {
		taken := w.idle[n-1]
		w.idle = w.idle[:n-1]
		w.mu.Unlock()
		taken.next <- s
		return true
	}
	if w.count >= w.most {
		w.mu.Unlock()
		return false
	}
	w.count++
	w.mu.Unlock()
	fresh := &worker{next: make(chan *served, 1)}
	go w.work(fresh, s)
	return true
}

func (w *workers) work(self *worker, s *served) {
	for s != nil {
		s.serve()
		w.mu.Lock()
		if w.stopped || len(w.idle) >= keptWorkers {
			w.mu.Unlock()
			break
		}
		w.idle = append(w.idle, self)
		w.mu.Unlock()
		s = <-self.next
	}
	w.mu.Lock()
	w.count--
	w.ended.Broadcast()
	w.mu.Unlock()
}

// stop ends idle workers, and waits for those at work.
func (w *workers) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stopped = true
	for _, idle := range w.idle {
		idle.next <- nil
	}
	w.idle = nil
	for w.count > 0 {
		w.ended.Wait()
	}
}
