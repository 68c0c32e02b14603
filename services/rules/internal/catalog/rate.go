package catalog

import (
	"github.com/backlot-video/backlot/services/rules/rate"
)

// PutRates puts a table of exchange rates in force. A judgement uses one table
// from its begin to its end. build makes the table; where it fails, the table
// before stays.
func (c *Catalog) PutRates(version string, build func() (*rate.Table, error)) error {
	table, err := build()
	if err != nil {
		c.metrics.rejections.Inc()
		c.config.Log.Error("rate table refused", "version", version, "err", err)
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rates.Set(table)
	c.metrics.currencies.Set(float64(table.Len()))
	c.config.Log.Info("rate table in force", "version", version, "currencies", table.Len())
	c.retry(func(entry *ruleset) bool { return entry.rejected != nil || entry.besideRejected != nil })
	return nil
}

// DeleteRates takes the table away: amounts convert to their own currency only.
func (c *Catalog) DeleteRates() {
	c.rates.Set(nil)
	c.metrics.currencies.Set(0)
	c.config.Log.Info("rate table deleted")
}
