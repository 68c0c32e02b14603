package adapt

import (
	"bytes"
	"io"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/backlot-video/backlot/services/gateway/internal/exchange"
)

// Server makes exchanges of the requests that a server of net/http's form
// brings. It is that server's handler.
type Server struct {
	Handler  exchange.Handler
	Protocol exchange.Protocol
	// BodyTimeout is the longest time without a byte of a request's body,
	// WriteTimeout without one that the client takes; 0: no bound.
	BodyTimeout, WriteTimeout time.Duration
	// Refused sees what was answered without becoming an exchange; nil: nobody.
	Refused func(x *exchange.Exchange)
}

// ServeHTTP implements http.Handler. It panics with http.ErrAbortHandler where
// the client is to see a broken answer.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := &client{server: s, w: w, r: r, control: http.NewResponseController(w)}
	c.x.Client, c.x.Began = c, time.Now()
	if fault := readHead(&c.x.Request, r, s.Protocol); fault != "" {
		s.refuse(w, r, fault)
		return
	}
	c.expect = c.x.Request.Expect
	if !c.peek() {
		panic(http.ErrAbortHandler)
	}
	if err := s.Handler.Serve(r.Context(), &c.x); err != nil || c.aborted.Load() || !c.ended {
		panic(http.ErrAbortHandler)
	}
}

// peek looks whether there is a body where the method has none as a rule and no
// length was said: the end of a stream comes behind its head. It is false where
// nothing comes in time.
func (c *client) peek() bool {
	q := &c.x.Request
	if q.Length != exchange.Unknown || slices.Contains([]string{http.MethodPost, http.MethodPut, http.MethodPatch}, c.r.Method) {
		return true
	}
	first := make([]byte, 1)
	n, err := c.ReadBody(first)
	switch {
	case n > 0:
		c.x.Held = first[:n]
	case err == io.EOF: //nolint:errorlint // as readers return it
		q.Length = 0
	}
	return n > 0 || q.Length == 0
}

// refuse answers a request that becomes no exchange.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, fault string) {
	x := new(exchange.Exchange)
	x.Request.Remote = remote(r)
	x.Refuse(http.StatusBadRequest, "invalid_argument", fault, "malformed")
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusBadRequest)
	if _, err := w.Write(x.Answer); err != nil {
		panic(http.ErrAbortHandler)
	}
	if s.Refused != nil {
		s.Refused(x)
	}
}

// readHead reads a request's head, or says what is wrong with it: what an
// upstream that speaks HTTP/1.1 could take for something else.
func readHead(q *exchange.Request, r *http.Request, protocol exchange.Protocol) (fault string) {
	switch {
	case !isToken(r.Method):
		return "method: is no token"
	case r.Method == http.MethodConnect:
		return "method: CONNECT is not supported"
	case !isTarget(r.RequestURI) && (r.RequestURI != "*" || r.Method != http.MethodOptions):
		return "path: must begin with / and be of visible ASCII characters without #"
	case !isAuthority(r.Host):
		return "authority: is no host with or without port"
	}
	q.Protocol, q.Secure, q.TLS, q.Remote = protocol, r.TLS != nil, r.TLS, remote(r)
	q.Method, q.Authority = []byte(r.Method), []byte(r.Host)
	q.Path, q.Query, q.HasQuery = bytes.Cut([]byte(r.RequestURI), []byte("?"))
	q.Length = r.ContentLength
	if r.Body == nil || r.Body == http.NoBody {
		q.Length = 0
	}
	for name, values := range r.Header {
		text := []byte(name)
		id := exchange.NameOf(text)
		for _, value := range values {
			readField(q, id, text, value)
		}
	}
	return ""
}

// readField takes a field, but those of one connection, which have members of
// their own.
func readField(q *exchange.Request, id exchange.Name, name []byte, value string) {
	switch id {
	case exchange.ContentLength, exchange.Host, exchange.Connection, exchange.KeepAlive, exchange.ProxyConnection,
		exchange.TransferEncoding, exchange.Upgrade, exchange.Trailer:
	case exchange.TE:
		q.Trailers = q.Trailers || strings.EqualFold(value, "trailers")
	case exchange.Expect:
		q.Expect = q.Length != 0 && strings.EqualFold(value, "100-continue")
	default:
		q.Fields.Add(id, name, []byte(value))
	}
}

func remote(r *http.Request) netip.AddrPort {
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
}

func isToken(text string) bool {
	return text != "" && !strings.ContainsFunc(text, func(r rune) bool { return !httpguts.IsTokenRune(r) })
}

func isTarget(text string) bool {
	return strings.HasPrefix(text, "/") && !strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '#' })
}

// isAuthority accepts what a host and a port are made of, without user
// information.
func isAuthority(text string) bool {
	return text != "" && !strings.ContainsFunc(text, func(r rune) bool {
		return !httpguts.IsTokenRune(r) && !strings.ContainsRune("():;,=[]", r) || strings.ContainsRune("#^`|", r)
	})
}
