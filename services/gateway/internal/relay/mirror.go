package relay

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/backlot-video/backlot/services/gateway/internal/exchange"
	"github.com/backlot-video/backlot/services/gateway/internal/h1"
	"github.com/backlot-video/backlot/services/gateway/internal/upstream"
)

const (
	// mostMirrors are on their way at once; more are dropped and counted.
	mostMirrors = 64
	// mirrorTime bounds a copy and its answer.
	mirrorTime = 10 * time.Second
	// mirrorAnswer is how much of an answer is read, so that the connection can
	// be used again.
	mirrorAnswer = 256 << 10
)

// mirror sends copies of a request whose body is held, without waiting.
func (f *flight) mirror() {
	for _, m := range f.plan.route.mirrors {
		if rand.Uint32N(1e6) >= m.partsPerMillion {
			continue
		}
		if !f.whole {
			f.relay.metrics.mirrors.WithLabelValues("dropped").Inc()
			continue
		}
		select {
		case f.relay.mirrors <- struct{}{}:
		default:
			f.relay.metrics.mirrors.WithLabelValues("dropped").Inc()
			continue
		}
		text := h1.AppendRequest(nil, &f.x.Request, h1.RequestOptions{Host: noHost})
		c := mirrored{relay: f.relay, cluster: m.cluster, text: append(text, f.held...), method: slices.Clone(f.x.Request.Method)}
		f.relay.work.Go(c.run)
	}
}

// mirrored is a copy on its way.
type mirrored struct {
	relay   *Relay
	cluster *upstream.Cluster
	text    []byte
	method  []byte
}

func (m *mirrored) run() {
	defer func() { <-m.relay.mirrors }()
	ctx, cancel := context.WithTimeout(context.Background(), mirrorTime)
	defer cancel()
	result := "failed"
	if m.send(ctx) == nil {
		result = "sent"
	}
	m.relay.metrics.mirrors.WithLabelValues(result).Inc()
}

func (m *mirrored) send(ctx context.Context) error {
	began := time.Now()
	if err := m.cluster.Admit(began); err != nil {
		return err
	}
	defer m.cluster.Release()
	endpoint, err := m.cluster.Pick(0, false, nil)
	if err != nil {
		return err
	}
	endpoint.Begin()
	conn, err := endpoint.Conn(ctx)
	if err != nil {
		endpoint.Done(upstream.Outcome{Result: upstream.Refused}, time.Now())
		return err
	}
	_ = conn.SetDeadline(began.Add(mirrorTime))
	outcome := upstream.Outcome{Result: upstream.Broken}
	keep, err := m.exchange(conn, &outcome)
	outcome.Took = time.Since(began)
	if err == nil && keep {
		conn.Keep()
	} else {
		_ = conn.Close()
	}
	endpoint.Done(outcome, time.Now())
	return err
}

// exchange sends the copy and reads the answer away.
func (m *mirrored) exchange(conn *upstream.Conn, outcome *upstream.Outcome) (keep bool, err error) {
	if _, err := conn.Write(m.text); err != nil {
		return false, err
	}
	var answer exchange.Response
	for w := 0; ; {
		n, framing, err := h1.ParseResponse(conn.Buf[:w], &answer, m.method, answerLimits)
		switch {
		case err != nil:
			return false, err
		case n > 0 && answer.Status >= 200:
			outcome.Result, outcome.Status = upstream.Answered, answer.Status
			return m.discard(conn, &answer, framing, w-n)
		case n > 0:
			w = copy(conn.Buf, conn.Buf[n:w])
			continue
		}
		got, err := conn.Read(conn.Buf[w:])
		if w += got; got == 0 {
			return false, err
		}
	}
}

// discard reads a short body of known length; other connections are closed.
func (m *mirrored) discard(conn *upstream.Conn, answer *exchange.Response, framing h1.Framing, have int) (keep bool, err error) {
	if !framing.KeepAlive || framing.Chunked || answer.Length > mirrorAnswer {
		return false, nil
	}
	left := answer.Length - int64(have)
	if answer.NoBody {
		left = -int64(have)
	}
	for left > 0 {
		n, err := conn.Read(conn.Buf[:min(left, int64(len(conn.Buf)))])
		if left -= int64(n); n == 0 {
			return false, err
		}
	}
	return left == 0, nil
}
