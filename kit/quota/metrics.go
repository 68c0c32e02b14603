package quota

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

type clientCounts struct {
	grants  [kinds]atomic.Uint64
	asks    [2]atomic.Uint64 // that failed and that were answered
	crowded atomic.Uint64
}

// collector reads a client's counts when it is asked.
type collector struct {
	client                            *Client
	grants, asks, crowded, keys, away *prometheus.Desc
}

func newCollector(c *Client) *collector {
	describe := func(noun, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(prometheus.BuildFQName("backlot", c.config.Service, "quota_"+noun), help, labels, nil)
	}
	return &collector{
		client:  c,
		grants:  describe("grants_total", "Tokens asked for of limits of all replicas together, by answer.", "answer"),
		asks:    describe("asks_total", "Calls to the ledger of limits.", "result"),
		crowded: describe("crowded_total", "Tokens asked for of keys for which there was no room."),
		keys:    describe("keys", "Keys of which slices are kept."),
		away:    describe("away", "1 while the ledger of limits does not answer."),
	}
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.grants, c.asks, c.crowded, c.keys, c.away} {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(to chan<- prometheus.Metric) {
	counter := func(d *prometheus.Desc, n uint64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), labels...)
	}
	counts := &c.client.counts
	for kind := range counts.grants {
		counter(c.grants, counts.grants[kind].Load(), kindNames[kind])
	}
	counter(c.asks, counts.asks[0].Load(), "failed")
	counter(c.asks, counts.asks[1].Load(), "answered")
	counter(c.crowded, counts.crowded.Load())
	to <- prometheus.MustNewConstMetric(c.keys, prometheus.GaugeValue, float64(c.client.keys()))
	to <- prometheus.MustNewConstMetric(c.away, prometheus.GaugeValue, float64(index(c.client.away.Load())))
}

// keys counts those that are kept.
func (c *Client) keys() (n int) {
	for _, l := range c.followed() {
		n += l.keys()
	}
	return n
}
