package transcoder

import (
	"sync"
	"time"

	"github.com/backlot-video/backlot/services/transcoder/internal/process"
)

// Parts per million at which the phases of a task end.
const (
	encodedPPM   = 950_000
	publishedPPM = 999_999 // the last part is the caller's commit
)

// meter turns reports into progress that never falls. It may be used by
// several goroutines.
type meter struct {
	whole time.Duration
	tell  func(ppm uint32)

	mu   sync.Mutex
	last uint32
}

func newMeter(whole time.Duration, tell func(ppm uint32)) *meter {
	if tell == nil {
		tell = func(uint32) {}
	}
	return &meter{whole: whole, tell: tell}
}

func (m *meter) report(p process.Progress) {
	if m.whole > 0 {
		m.raise(p.OutTime.Seconds()/m.whole.Seconds()*encodedPPM, encodedPPM-1)
	}
}

func (m *meter) encoded() { m.raise(encodedPPM, encodedPPM) }

func (m *meter) published(done, total int64) {
	if total > 0 {
		m.raise(encodedPPM+float64(done)/float64(total)*(publishedPPM-encodedPPM), publishedPPM)
	}
}

func (m *meter) raise(ppm, limit float64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if next := uint32(max(0, min(ppm, limit))); next > m.last {
		m.last = next
		m.tell(next)
	}
}
