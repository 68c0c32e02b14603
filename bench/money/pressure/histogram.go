package pressure

import (
	"fmt"
	"io"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// histogram counts by upper bound in seconds, cumulatively.
type histogram map[float64]uint64

// series calls fn with the labels and the value of each series of a metric of
// the server that has all of some labels.
func (s *server) series(name string, labels []string, fn func(labels string, value float64) error) error {
	response, err := http.Get("http://" + s.ops + "/metrics") //nolint:noctx // loopback
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, name+"{") || slices.ContainsFunc(labels, func(label string) bool { return !strings.Contains(line, label) }) {
			continue
		}
		own, number, _ := strings.Cut(line, "} ")
		value, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
		if err == nil {
			err = fn(own, value)
		}
		if err != nil {
			return fmt.Errorf("metrics: %w", err)
		}
	}
	return nil
}

// histogram is a metric of the server since its start, of those series that
// have all of the labels.
func (s *server) histogram(name string, labels ...string) (histogram, error) {
	counts := histogram{}
	err := s.series(name+"_bucket", labels, func(labels string, value float64) error {
		_, rest, _ := strings.Cut(labels, `le="`)
		bound, _, _ := strings.Cut(rest, `"`)
		upper, err := strconv.ParseFloat(bound, 64)
		counts[upper] += uint64(value)
		return err
	})
	return counts, err
}

// overdue is how many calls were refused after they had waited, since the start.
func (s *server) overdue() (n int, err error) {
	err = s.series("backlot_settlement_admission_refused_jobs_total", []string{`reason="overdue"`}, func(_ string, value float64) error {
		n += int(value)
		return nil
	})
	return n, err
}

// refusals is the time that calls took at the server, from when their headers
// were read, that were refused; some of them after they had waited.
func (s *server) refusals() (histogram, error) {
	return s.histogram("backlot_rpc_server_duration_seconds", `method="CreateTransfers"`, `code="resource_exhausted"`)
}

// batches is the time that batches of the ledger took, commit and all.
func (s *server) batches() (histogram, error) {
	return s.histogram("backlot_settlement_batch_seconds")
}

// marks is what the server says of its calls at a time.
type marks struct {
	refusals, batches histogram
	overdue           int
	outboxLag         float64 // seconds, of the oldest fact that is to be published
}

func (s *server) marks() (m marks, err error) {
	if m.refusals, err = s.refusals(); err != nil {
		return m, err
	}
	if m.batches, err = s.batches(); err != nil {
		return m, err
	}
	if m.overdue, err = s.overdue(); err != nil {
		return m, err
	}
	err = s.series("backlot_mq_outbox_lag_seconds", nil, func(_ string, value float64) error {
		m.outboxLag = max(m.outboxLag, value)
		return nil
	})
	return m, err
}

func (h histogram) minus(before histogram) histogram {
	left := histogram{}
	for bound, n := range h {
		left[bound] = n - before[bound]
	}
	return left
}

func (h *histogram) add(other histogram) {
	if *h == nil {
		*h = histogram{}
	}
	for bound, n := range other {
		(*h)[bound] += n
	}
}

// without is h without so many of the largest values.
func (h histogram) without(n int) histogram {
	left := histogram{}
	for bound, count := range h {
		left[bound] = min(count, h[math.Inf(1)]-min(h[math.Inf(1)], uint64(n)))
	}
	return left
}

// quantile is the upper bound of the bucket that it falls into, in ms.
func (h histogram) quantile(q float64) float64 {
	total := h[math.Inf(1)]
	bounds := make([]float64, 0, len(h))
	for bound := range h {
		bounds = append(bounds, bound)
	}
	slices.Sort(bounds)
	for _, bound := range bounds {
		if total > 0 && float64(h[bound]) >= q*float64(total) {
			return bound * 1000
		}
	}
	return 0
}
