// Package exchange is one request and its answer, in the form in which every
// engine (HTTP/1.1, 2 and 3) hands them to the relay and its filters: names
// and values are views of the bytes that came, so that the plain path copies
// and allocates nothing.
//
//	exchange.go  Exchange, Request, Response
//	json.go      texts as JSON strings
//	field.go     header fields, and the names that are known by number
//	client.go    Client, the side of an exchange that an engine implements
//	arena.go     bytes that live as long as an exchange
//
// It does no I/O and decides nothing. An Exchange belongs to one goroutine at
// a time. Views are good until Reset.
package exchange

import (
	"crypto/tls"
	"io"
	"net/netip"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/backlot-video/backlot/kit/identity"
	"github.com/backlot-video/backlot/services/gateway/internal/edge"
)

// Protocol is the one that the client speaks.
type Protocol uint8

// The protocols.
const (
	HTTP10 Protocol = iota
	HTTP11
	HTTP2
	HTTP3
)

// String gives the name as access logs write it.
func (p Protocol) String() string { return [...]string{"HTTP/1.0", "HTTP/1.1", "HTTP/2", "HTTP/3"}[p] }

// Unknown is the length of a body whose end is told by its framing.
const Unknown int64 = -1

// Request is the head of a request. Engines fill it; filters may edit it.
// Fields that belong to one connection (Connection and what it names,
// Keep-Alive, Proxy-Connection, TE but for trailers, Transfer-Encoding,
// Upgrade, Expect, and with them Host and Content-Length) are not among
// Fields: they stand in the typed members, and each side writes its own.
type Request struct {
	Protocol  Protocol
	Secure    bool   // came over TLS
	Method    []byte // as sent; case matters
	Authority []byte // Host or :authority, with its port if it had one
	Path      []byte // before `?`, as sent; begins with / but for `*` of OPTIONS
	Query     []byte // after the first `?`, without it
	HasQuery  bool   // there was a `?`
	Fields    Fields
	Length    int64  // bytes of the body; 0: none; Unknown: until its end
	Expect    bool   // the client waits for 100 Continue
	Upgrade   []byte // protocol that the client would change to; nil: none
	Trailers  bool   // the client takes trailers (TE: trailers)
	Remote    netip.AddrPort
	TLS       *tls.ConnectionState // nil without TLS
	ServerEnd bool                 // the connection ends after this exchange
}

// Response is the head of an answer, of the upstream's or of our own. The
// same fields are left out of Fields as in Request.
type Response struct {
	Status  int
	Fields  Fields
	Length  int64  // bytes of the body; Unknown: until its end
	NoBody  bool   // HEAD, 204, 304: Length tells only what a body would have
	Upgrade []byte // with status 101: the protocol changed to
}

// Advertise sets Alt-Svc, where the same address speaks another protocol too;
// nothing where the value is empty. An upstream's own speaks of another host.
func (r *Response) Advertise(value []byte) {
	if len(value) == 0 {
		return
	}
	r.Fields.RemoveName("Alt-Svc")
	r.Fields.Add(Other, altSvc, value)
}

var altSvc = []byte("Alt-Svc")

// Exchange is one request and its answer.
type Exchange struct {
	Request  Request
	Response Response
	Client   Client
	Arena    Arena

	// What the relay and the filters found out.
	Began     time.Time
	AskedHost []byte // authority and path before anything was made of them
	AskedPath []byte
	ID        []byte             // request id
	From      netip.Addr         // who began it: Request.Remote, or who trusted proxies say
	Trace     Trace              // position in a distributed trace
	Config    *edge.Config       // in force for this exchange
	Route     *edge.Route        // nil: none was found
	Principal identity.Principal // who calls
	Subject   []byte             // who calls by name (JWT's sub, API key's name, certificate's name)
	Cluster   string             // chosen, of a weighted split
	Attempts  int                // tries at upstreams
	Upstream  string             // address of the last one tried
	Answer    []byte             // body of an answer of the gateway's own
	Fault     string             // why the gateway itself answered, a word of a bounded set
	Sent      int64              // bytes of the answer's body
	Received  int64              // bytes of the request's body

	// What filters leave for later.
	Late    Fields     // lines to be added to the answer's head; filter.Chain.Response takes them
	Held    []byte     // start of the request's body, read already: ReadBody gives it first
	HeldAll bool       // nothing comes after Held
	Span    trace.Span // of a sampled exchange; nil: none
}

// ReadBody reads of the request's body without its framing; io.EOF ends it.
// It gives what a filter has read already, then what Client reads. A body may
// be spliced only while there is nothing held.
func (x *Exchange) ReadBody(p []byte) (int, error) {
	if len(x.Held) > 0 {
		n := copy(p, x.Held)
		x.Held = x.Held[n:]
		return n, nil
	}
	if x.HeldAll {
		return 0, io.EOF
	}
	return x.Client.ReadBody(p)
}

// Trace is the W3C trace context of an exchange.
type Trace struct {
	ID      [16]byte
	Span    [8]byte // ours, parent of the upstream's
	Sampled bool
}

// Reset makes an exchange ready for the next request of the same client.
func (x *Exchange) Reset() {
	request, response, arena := x.Request.Fields, x.Response.Fields, x.Arena
	client, remote, state := x.Client, x.Request.Remote, x.Request.TLS
	*x = Exchange{} // in place: with members set it would be made elsewhere and copied
	x.Client, x.Arena = client, arena
	x.Request.Fields, x.Response.Fields = request[:0], response[:0]
	x.Request.Remote, x.Request.TLS = remote, state
	x.Arena.Reset()
}

// Refuse makes the answer an error of the gateway's own, in Connect's form,
// which any client can read. code is one of Connect's, message a sentence for
// the caller, fault a word of a bounded set for metrics and logs.
func (x *Exchange) Refuse(status int, code, message, fault string) {
	x.Response = Response{Status: status, Fields: x.Response.Fields[:0]}
	x.Response.Fields.Add(ContentType, ContentType.Bytes(), jsonType)
	var room [512]byte
	body := append(room[:0], `{"code":`...)
	body = AppendQuoted(body, code)
	body = append(body, `,"message":`...)
	body = AppendQuoted(body, message)
	x.Answer = x.Arena.Copy(append(body, '}'))
	x.Response.Length, x.Fault = int64(len(x.Answer)), fault
}

var jsonType = []byte("application/json")
