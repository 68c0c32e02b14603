package participant

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// plain is an http.RoundTripper that calls http:// addresses by HTTP/1.1 in
// the caller's goroutine: it writes the request to a kept connection and reads
// the answer from it. http.Transport has two goroutines for each connection,
// which cost more than all else of a call. What is not http:// goes to other.
type plain struct {
	dial  func(ctx context.Context, network, address string) (net.Conn, error)
	other http.RoundTripper

	mu    sync.Mutex
	idle  map[string][]*link // by address, the latest used last
	kept  int                // in all of idle
	timer *time.Timer        // of the next prune; nil: none is due
}

// link is a kept connection.
type link struct {
	net.Conn
	address string
	limited io.LimitedReader // what one answer may have
	reader  *bufio.Reader
	writer  *bufio.Writer
	used    bool // it has carried an answer
	since   time.Time
}

// answerLimit bounds the bytes of one answer's header and body.
const answerLimit = maxAnswerHeaders + 2*maxAnswer

var longAgo = time.Unix(1, 0)

// RoundTrip implements http.RoundTripper.
func (p *plain) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.URL.Scheme != "http" {
		return p.other.RoundTrip(request)
	}
	address := request.URL.Host
	if request.URL.Port() == "" {
		address = net.JoinHostPort(request.URL.Hostname(), "80")
	}
	for {
		l, err := p.take(request.Context(), address)
		if err != nil {
			return nil, err
		}
		used := l.used
		response, stale, err := p.exchange(l, request)
		if err == nil {
			return response, nil
		}
		_ = l.Close()
		// The other side has closed a connection that was idle: a fresh one
		// tells more. A repeat is harmless by contract.
		if !used || !stale || request.Context().Err() != nil || request.GetBody == nil {
			return nil, cause(request.Context(), err)
		}
		if request.Body, err = request.GetBody(); err != nil {
			return nil, err
		}
	}
}

// cause is why a call broke off.
func cause(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// exchange sends the request and reads the answer's header. stale means that
// nothing of an answer came.
func (p *plain) exchange(l *link, request *http.Request) (response *http.Response, stale bool, err error) {
	// The end of the context breaks off whatever the connection waits for.
	stop := context.AfterFunc(request.Context(), func() { _ = l.SetDeadline(longAgo) })
	fail := func(stale bool, err error) (*http.Response, bool, error) {
		stop()
		return nil, stale, err
	}
	l.limited.N = answerLimit
	if err := write(l.writer, request); err != nil {
		return fail(true, err)
	}
	if _, err := l.reader.Peek(1); err != nil {
		return fail(true, err)
	}
	for {
		response, err = http.ReadResponse(l.reader, request)
		if err != nil {
			return fail(false, err)
		}
		if response.StatusCode >= 200 || response.StatusCode == http.StatusSwitchingProtocols {
			break
		}
	}
	l.used = true
	response.Body = &answer{body: response.Body, owner: p, link: l, stop: stop, keep: !response.Close && response.StatusCode >= 200}
	return response, false, nil
}

// breaks are what would end a header's value.
var breaks = strings.NewReplacer("\r", " ", "\n", " ")

// write sends a request whose length is known. http.Request.Write sorts the
// headers, which takes as long as all else of it.
func write(w *bufio.Writer, request *http.Request) error {
	for _, part := range [...]string{
		request.Method, " ", request.URL.RequestURI(), " HTTP/1.1\r\nHost: ", request.URL.Host,
		"\r\nContent-Length: ", strconv.FormatInt(request.ContentLength, 10), "\r\n",
	} {
		_, _ = w.WriteString(part) // an error stays until Flush
	}
	for name, values := range request.Header {
		if !token(name) || name == "Host" || name == "Content-Length" || name == "Transfer-Encoding" || name == "Connection" {
			continue
		}
		for _, value := range values {
			_, _ = w.WriteString(name)
			_, _ = w.WriteString(": ")
			_, _ = breaks.WriteString(w, value)
			_, _ = w.WriteString("\r\n")
		}
	}
	_, _ = w.WriteString("\r\n")
	if request.Body != nil {
		_, err := io.Copy(w, request.Body)
		if err := errors.Join(err, request.Body.Close()); err != nil {
			return err
		}
	}
	return w.Flush()
}

// token reports whether a text may be a header's name.
func token(name string) bool {
	for i := range len(name) {
		c := name[i]
		letter := 'a' <= c|0x20 && c|0x20 <= 'z'
		if !letter && !('0' <= c && c <= '9') && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return name != ""
}

// answer is an answer's body; with its end the connection is free again.
type answer struct {
	body  io.ReadCloser
	owner *plain
	link  *link
	stop  func() bool
	keep  bool
	ended bool
}

func (a *answer) Read(b []byte) (int, error) {
	n, err := a.body.Read(b)
	if errors.Is(err, io.EOF) {
		a.ended = true
	}
	return n, err
}

// Close keeps the connection if the body was read to its end; what is left
// otherwise costs the connection.
func (a *answer) Close() error {
	if a.link == nil {
		return nil
	}
	l := a.link
	a.link = nil
	undisturbed := a.stop()
	if !undisturbed || !a.keep || !a.ended || l.reader.Buffered() > 0 {
		return l.Close()
	}
	a.owner.give(l)
	return nil
}

// take returns a kept connection or a fresh one.
func (p *plain) take(ctx context.Context, address string) (*link, error) {
	p.mu.Lock()
	if idle := p.idle[address]; len(idle) > 0 {
		l := idle[len(idle)-1]
		p.idle[address] = idle[:len(idle)-1]
		p.kept--
		p.mu.Unlock()
		return l, nil
	}
	p.mu.Unlock()
	conn, err := p.dial(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	l := &link{Conn: conn, address: address, limited: io.LimitedReader{R: conn}}
	l.reader, l.writer = bufio.NewReader(&l.limited), bufio.NewWriter(conn)
	return l, nil
}

// give keeps a connection, unless there are enough.
func (p *plain) give(l *link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.idle[l.address]) >= maxIdle || p.kept >= 4*maxIdle {
		_ = l.Close()
		return
	}
	if p.idle == nil {
		p.idle = make(map[string][]*link)
	}
	l.since = time.Now()
	p.idle[l.address] = append(p.idle[l.address], l)
	p.kept++
	if p.timer == nil {
		p.timer = time.AfterFunc(idleTimeout, p.prune)
	}
}

// prune closes what was not used for long.
func (p *plain) prune() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.timer = nil
	p.drop(time.Now().Add(-idleTimeout))
	if p.kept > 0 {
		p.timer = time.AfterFunc(idleTimeout/4, p.prune)
	}
}

// drop closes what was last used before a time; p.mu is held.
func (p *plain) drop(before time.Time) {
	for address, idle := range p.idle {
		old := 0
		for old < len(idle) && idle[old].since.Before(before) {
			_ = idle[old].Close()
			old++
		}
		p.kept -= old
		if p.idle[address] = append(idle[:0], idle[old:]...); len(p.idle[address]) == 0 {
			delete(p.idle, address)
		}
	}
}

// CloseIdleConnections serves http.Client's method.
func (p *plain) CloseIdleConnections() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.timer != nil {
		p.timer.Stop()
		p.timer = nil
	}
	p.drop(time.Now().Add(time.Hour))
	if other, ok := p.other.(interface{ CloseIdleConnections() }); ok {
		other.CloseIdleConnections()
	}
}
