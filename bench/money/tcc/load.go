package tcc

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"
)

// client is one caller's connections.
type client struct {
	http     fasthttp.Client
	request  fasthttp.Request
	response fasthttp.Response
}

func newClient() *client {
	return &client{http: fasthttp.Client{MaxConnsPerHost: 2, NoDefaultUserAgentHeader: true, ReadTimeout: time.Minute}}
}

// post sends JSON and returns the body of a 200.
func (c *client) post(url string, body []byte, headers ...[2]string) ([]byte, error) {
	c.request.Reset()
	c.request.SetRequestURI(url)
	c.request.Header.SetMethod(fasthttp.MethodPost)
	c.request.Header.SetContentType("application/json")
	for _, header := range headers {
		c.request.Header.Set(header[0], header[1])
	}
	c.request.SetBodyRaw(body)
	return c.send()
}

func (c *client) get(url string) ([]byte, error) {
	c.request.Reset()
	c.request.SetRequestURI(url)
	return c.send()
}

func (c *client) send() ([]byte, error) {
	if err := c.http.Do(&c.request, &c.response); err != nil {
		return nil, err
	}
	if c.response.StatusCode() != fasthttp.StatusOK {
		return nil, fmt.Errorf("%s: %d %s", c.request.URI().Path(), c.response.StatusCode(), c.response.Body())
	}
	return c.response.Body(), nil
}

// transaction drives one global transaction of this id until all of its
// branches are confirmed.
type transaction func(c *client, id string) error

// figures are those of one round.
type figures struct {
	perSecond float64
	p50, p99  time.Duration
	cpu       time.Duration // of a transaction: coordinator and database
	n         int
}

var round atomic.Int64

// load has clients drive transactions one after the other, and measures.
func load(one transaction, clients int, warm, lasts time.Duration, cpu func() (time.Duration, error)) (figures, error) {
	id := round.Add(1)
	var stop atomic.Bool
	var began atomic.Int64 // nanoseconds since start; 0: not yet
	start := time.Now()
	took, faults := make([][]time.Duration, clients), make([]error, clients)
	var all sync.WaitGroup
	for i := range clients {
		all.Go(func() {
			c := newClient()
			defer c.http.CloseIdleConnections()
			for n := 0; !stop.Load(); n++ {
				from := time.Since(start)
				if faults[i] = one(c, fmt.Sprintf("%d-%d-%d", id, i, n)); faults[i] != nil {
					return
				}
				if since := began.Load(); since > 0 && from.Nanoseconds() >= since {
					took[i] = append(took[i], time.Since(start)-from)
				}
			}
		})
	}
	<-time.After(warm)
	before, err := cpu()
	began.Store(time.Since(start).Nanoseconds())
	measured := time.Now()
	<-time.After(lasts)
	after, cpuErr := cpu()
	window := time.Since(measured)
	stop.Store(true)
	all.Wait()
	if err := errors.Join(errors.Join(faults...), err, cpuErr); err != nil {
		return figures{}, err
	}
	every := slices.Concat(took...)
	if len(every) == 0 {
		return figures{}, errors.New("no transaction ended in time")
	}
	slices.Sort(every)
	// Those that were under way at the end count with the part before it.
	n := float64(len(every)) - float64(clients)/2
	return figures{
		perSecond: n / window.Seconds(), n: len(every),
		p50: every[len(every)/2], p99: every[len(every)*99/100],
		cpu: time.Duration(float64(after-before) / n),
	}, nil
}
