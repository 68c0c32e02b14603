package h2

import "time"

// calm is a bucket of tokens: what a peer may do that costs it next to
// nothing. Useful work of the peer fills it too.
type calm struct {
	tokens, most float64
	perSecond    float64
	last         time.Time
}

// Bounds on one connection.
const (
	// controlBurst is of frames that carry nothing: PING, SETTINGS, PRIORITY,
	// empty DATA and CONTINUATION, window updates, frames of closed streams
	// and of unknown kinds.
	controlBurst = 4096
	controlRate  = 1024
	// resetBurst is of streams that the peer resets before they are answered
	// (CVE-2023-44487), or makes us reset.
	resetBurst = 512
	resetRate  = 128
	// framesOwed is how many frames a peer may send for a frame of DATA that
	// it got: a window update of the stream, one of the connection, a PING.
	framesOwed = 3
)

func newCalm(burst, rate float64) calm {
	return calm{tokens: burst, most: burst, perSecond: rate, last: time.Now()}
}

// take tells whether the peer may do it once more.
func (c *calm) take() bool {
	if c.tokens < 1 {
		now := time.Now()
		c.give(now.Sub(c.last).Seconds() * c.perSecond)
		c.last = now
	}
	if c.tokens < 1 {
		return false
	}
	c.tokens--
	return true
}

func (c *calm) give(n float64) { c.tokens = min(c.tokens+n, c.most) }
