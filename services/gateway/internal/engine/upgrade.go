package engine

import (
	"errors"
	"io"
	"net/http"
)

// Upgrade implements exchange.Client.
func (c *conn) Upgrade() (io.ReadWriteCloser, error) {
	if !c.answer.headed || c.x.Response.Status != http.StatusSwitchingProtocols {
		return nil, errors.New("upgrade: the answer is not 101")
	}
	c.answer.ended, c.answer.last = true, true
	c.phase.Store(uint32(upgraded))
	if c.readBy != 0 {
		c.setReadBy(never)
	}
	rest := c.in[c.r:c.w]
	c.r = c.w
	return withRead(c.net, rest), nil
}

// never is a deadline that does not come.
const never = 1 << 62
