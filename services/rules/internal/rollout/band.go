package rollout

import (
	"fmt"
	"time"
)

// Bands are the limits of a rollout. Zero fields mean the default.
type Bands struct {
	MaxErrorPPM     uint32        // failed facts above those of the other version; 10,000
	MaxP99          time.Duration // 10 ms
	MaxP99Percent   uint32        // of the other version's; none
	MinDenyPPM      uint32        // none
	MaxDenyPPM      uint32        // none
	MaxDenyShiftPPM uint32        // from the other version's, up or down; 100,000
	MinSample       uint32        // facts before anything is judged; 100
	Window          time.Duration // one minute
}

// latencyFloor is the difference of percentiles that does not matter.
const latencyFloor = 100 * time.Microsecond

// WithDefaults fills in what is zero.
func (b Bands) WithDefaults() Bands {
	fill := func(field *uint32, value uint32) {
		if *field == 0 {
			*field = value
		}
	}
	fill(&b.MaxErrorPPM, 10_000)
	fill(&b.MaxDenyShiftPPM, 100_000)
	fill(&b.MinSample, 100)
	if b.MaxP99 == 0 {
		b.MaxP99 = 10 * time.Millisecond
	}
	if b.Window == 0 {
		b.Window = time.Minute
	}
	return b
}

// Left tells which band the candidate has left, empty while it has left none.
func (b Bands) Left(candidate, live Tally) string {
	if candidate.Facts < uint64(b.MinSample) || candidate.Facts == 0 {
		return ""
	}
	percent := func(ppm uint64) string { return fmt.Sprintf("%.2f%%", float64(ppm)/10_000) }
	deny, liveDeny := candidate.DenyPPM(), live.DenyPPM()
	switch errors, liveErrors := candidate.ErrorPPM(), live.ErrorPPM(); {
	case errors > liveErrors+uint64(b.MaxErrorPPM):
		return fmt.Sprintf("error rate %s, live %s, at most %s above it", percent(errors), percent(liveErrors), percent(uint64(b.MaxErrorPPM)))
	case candidate.P99 > b.MaxP99:
		return fmt.Sprintf("p99 latency %v, at most %v", candidate.P99, b.MaxP99)
	case b.MaxP99Percent > 0 && candidate.P99 > live.P99+latencyFloor &&
		int64(candidate.P99)*100 > int64(live.P99)*int64(b.MaxP99Percent):
		return fmt.Sprintf("p99 latency %v, live %v, at most %d%% of it", candidate.P99, live.P99, b.MaxP99Percent)
	case b.MinDenyPPM > 0 && deny < uint64(b.MinDenyPPM):
		return fmt.Sprintf("deny rate %s, at least %s", percent(deny), percent(uint64(b.MinDenyPPM)))
	case b.MaxDenyPPM > 0 && deny > uint64(b.MaxDenyPPM):
		return fmt.Sprintf("deny rate %s, at most %s", percent(deny), percent(uint64(b.MaxDenyPPM)))
	case max(deny, liveDeny)-min(deny, liveDeny) > uint64(b.MaxDenyShiftPPM):
		return fmt.Sprintf("deny rate %s, live %s, at most %s apart", percent(deny), percent(liveDeny), percent(uint64(b.MaxDenyShiftPPM)))
	}
	return ""
}
