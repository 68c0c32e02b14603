package relay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/backlot-video/backlot/services/gateway/internal/exchange"
	"github.com/backlot-video/backlot/services/gateway/internal/upstream"
)

// caller makes the gateway's own calls to a cluster, each under the
// configuration in force and within the cluster's bounds.
type caller struct {
	relay   *Relay
	cluster string
}

// Caller is the way to a cluster for the gateway's own calls, over HTTP/2. They
// are not tried again, and what they ask and get has to be small.
func (r *Relay) Caller(cluster string) http.RoundTripper { return caller{relay: r, cluster: cluster} }

// RoundTrip implements http.RoundTripper.
func (c caller) RoundTrip(request *http.Request) (*http.Response, error) {
	s := c.relay.current.Load()
	if s == nil || c.relay.config.Other == nil {
		return nil, errNoTransport
	}
	cluster := s.view.Cluster(c.cluster)
	if cluster == nil {
		return nil, fmt.Errorf("cluster %q does not exist", c.cluster)
	}
	began := c.relay.config.Clock()
	if err := cluster.Admit(began); err != nil {
		return nil, err
	}
	endpoint, err := cluster.Pick(0, false, nil)
	if err != nil {
		cluster.Release()
		return nil, err
	}
	endpoint.Begin()
	outcome := upstream.Outcome{Result: upstream.Broken}
	defer func() {
		now := c.relay.config.Clock()
		outcome.Took = now.Sub(began)
		endpoint.Done(outcome, now)
		cluster.Release()
	}()
	response, err := c.relay.call(request, endpoint)
	switch {
	case err == nil:
		outcome.Result, outcome.Status = upstream.Answered, response.StatusCode
	case errors.Is(err, context.DeadlineExceeded):
		outcome.Result = upstream.TimedOut
	case errors.Is(err, context.Canceled):
		outcome.Result = upstream.Aborted
	}
	return response, err
}

// call sends a request whole and waits for the head of its answer.
func (r *Relay) call(request *http.Request, endpoint *upstream.Endpoint) (*http.Response, error) {
	body := request.Body
	if body == nil {
		body = http.NoBody
	}
	defer func() { _ = body.Close() }()
	sent, err := r.config.Other.Open(request.Context(), called(request), endpoint, body != http.NoBody)
	if err != nil {
		return nil, err
	}
	if body != http.NoBody {
		if _, err := io.Copy(sent, body); err != nil {
			return nil, errors.Join(err, sent.Close())
		}
		if err := sent.CloseWrite(nil); err != nil {
			return nil, errors.Join(err, sent.Close())
		}
	}
	var head exchange.Response
	for head.Status < http.StatusOK {
		head = exchange.Response{Fields: head.Fields[:0]}
		if err := sent.Head(&head); err != nil {
			return nil, errors.Join(err, sent.Close())
		}
	}
	response := &http.Response{
		Status: http.StatusText(head.Status), StatusCode: head.Status, Proto: "HTTP/2.0", ProtoMajor: 2,
		Header: header(head.Fields), ContentLength: head.Length, Request: request, Trailer: http.Header{},
	}
	response.Body = &calledBody{call: sent, trailer: response.Trailer}
	return response, nil
}

// called is a request as an exchange.
func called(request *http.Request) *exchange.Exchange {
	x := &exchange.Exchange{Began: time.Now()}
	x.Request = exchange.Request{
		Protocol: exchange.HTTP2, Method: []byte(request.Method), Authority: []byte(request.URL.Host),
		Path: []byte(request.URL.EscapedPath()), Query: []byte(request.URL.RawQuery), HasQuery: request.URL.RawQuery != "",
		Length: request.ContentLength, Trailers: true,
	}
	if request.Body != nil && request.ContentLength == 0 {
		x.Request.Length = exchange.Unknown
	}
	for name, values := range request.Header {
		id := exchange.NameOf([]byte(name))
		if id == exchange.TE {
			continue // stands in Trailers
		}
		for _, value := range values {
			x.Request.Fields.Add(id, []byte(name), []byte(value))
		}
	}
	return x
}

func header(fields exchange.Fields) http.Header {
	made := http.Header{}
	for i := range fields {
		if fields[i].ID != exchange.Removed {
			made.Add(string(fields[i].Name), string(fields[i].Value))
		}
	}
	return made
}

// calledBody is the body of an answer, which brings the trailers at its end.
type calledBody struct {
	call    Call
	trailer http.Header
}

// Read implements io.Reader.
func (b *calledBody) Read(p []byte) (int, error) {
	n, err := b.call.Read(p)
	if errors.Is(err, io.EOF) {
		for name, values := range header(b.call.Trailers()) {
			b.trailer[name] = values
		}
	}
	return n, err
}

// Close implements io.Closer.
func (b *calledBody) Close() error { return b.call.Close() }
