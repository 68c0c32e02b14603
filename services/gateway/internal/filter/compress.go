package filter

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/backlot-video/backlot/services/gateway/internal/edge"
	"github.com/backlot-video/backlot/services/gateway/internal/exchange"
	"github.com/backlot-video/backlot/services/gateway/internal/filter/coding"
)

const (
	defaultMinLength = 1 << 10
	// maxCoders bounds the bodies that are being coded, of about 1 MiB of memory
	// each; answers beyond it go as they are.
	maxCoders = 512
)

// compression says which answers are worth coding.
type compression struct {
	min   int64
	types []string // media types in lower case; none: isText
	pool  *coding.Pool
	done  [4]prometheus.Counter // by coding
	full  prometheus.Counter
}

func (e *Env) compileCompression(policy *edge.Compression) (*compression, error) {
	if policy == nil {
		return nil, nil
	}
	if policy.MinLength < 0 {
		return nil, errors.New("min_length: must not be below 0")
	}
	c := &compression{min: policy.MinLength, pool: e.coders, full: e.metrics.coded.WithLabelValues("full")}
	if c.min == 0 {
		c.min = defaultMinLength
	}
	for i, word := range []string{"identity", "gzip", "br", "zstd"} {
		c.done[i] = e.metrics.coded.WithLabelValues(word)
	}
	for _, media := range policy.ContentTypes {
		if kind, sub, found := strings.Cut(media, "/"); !found || !isToken(kind) || !isToken(sub) {
			return nil, fmt.Errorf("content_types: %q is not type/subtype", media)
		}
		c.types = append(c.types, strings.ToLower(media))
	}
	return c, nil
}

// Encoder codes the body of one answer and hands it to x.Client. One of Close
// and Discard has to be called.
type Encoder interface {
	// Write takes some of the body.
	Write(p []byte) (int, error)
	// Flush sends all that was written so far.
	Flush() error
	// Close completes the coded body; it does not end the answer.
	Close() error
	// Discard gives the encoder up in the middle.
	Discard()
}

// Encoder is what has to code the answer's body; nil on the plain path. It
// edits the head of the answer, and so comes between Response and the sending
// of the head. Who does not ask sends the body as it is.
func (c *Chain) Encoder(x *exchange.Exchange) Encoder {
	if c == nil || c.coded == nil || !c.coded.worth(&x.Response) {
		return nil
	}
	return c.coded.encoder(x)
}

// worth tells whether the answer is one that might be coded, whatever the
// client accepts.
func (c *compression) worth(r *exchange.Response) bool {
	switch {
	case r.Status < 200, r.Status == 204, r.Status == 205, r.Status == 206, r.Status == 304:
		return false
	}
	if r.Upgrade != nil || r.Length != exchange.Unknown && r.Length < c.min {
		return false
	}
	var media []byte
	for i := range r.Fields {
		f := &r.Fields[i]
		switch f.ID {
		case exchange.ContentType:
			media = f.Value
		case exchange.ContentRange:
			return false
		case exchange.ContentEncoding:
			if !exchange.EqualFold(f.Value, "identity") {
				return false
			}
		case exchange.CacheControl:
			if listHas(f.Value, noTransform) {
				return false
			}
		case exchange.Other:
			if isDigest(f.Name) {
				return false
			}
		default: // says nothing about it
		}
	}
	media, _, _ = bytes.Cut(media, []byte{';'})
	media = bytes.TrimSpace(media)
	if c.types == nil {
		return isText(media)
	}
	for _, one := range c.types {
		if exchange.EqualFold(media, one) {
			return true
		}
	}
	return false
}

var noTransform = []byte("no-transform")

// isDigest tells headers that vouch for the bytes of the body.
func isDigest(name []byte) bool {
	for _, one := range digestNames {
		if exchange.EqualFold(name, one) {
			return true
		}
	}
	return false
}

var digestNames = []string{"Content-Digest", "Repr-Digest", "Digest", "Content-MD5"}

// texts are media types that are text, beside text/* and what ends in +json or
// +xml.
var texts = []string{
	"application/json", "application/javascript", "application/xml", "application/x-ndjson",
	"application/vnd.apple.mpegurl", "application/x-mpegurl", "application/toml", "application/yaml",
}

func isText(media []byte) bool {
	if len(media) > 5 && exchange.EqualFold(media[:5], "text/") {
		return true
	}
	if n := len(media); n > 5 && (exchange.EqualFold(media[n-5:], "+json") || exchange.EqualFold(media[n-4:], "+xml")) {
		return !bytes.HasPrefix(media, []byte("application/grpc"))
	}
	for _, one := range texts {
		if exchange.EqualFold(media, one) {
			return true
		}
	}
	return false
}

var acceptEncoding = []byte("Accept-Encoding")

// encoder takes the coding that the client likes best.
func (c *compression) encoder(x *exchange.Exchange) Encoder {
	addVary(&x.Response.Fields, acceptEncoding)
	var accept coding.Accept
	for i := range x.Request.Fields {
		if f := &x.Request.Fields[i]; f.ID == exchange.AcceptEncoding {
			accept.Add(f.Value)
		}
	}
	best := accept.Best()
	switch {
	case x.Response.NoBody || x.Request.Protocol == exchange.HTTP10:
		return nil
	case best == coding.Identity:
		c.done[best].Inc()
		return nil
	case c.pool.Full():
		c.full.Inc()
		return nil
	}
	writer, err := c.pool.Get(best, body{x.Client})
	if err != nil { // of options that are constant
		return nil
	}
	c.done[best].Inc()
	codedHead(x, best)
	return &encoder{Writer: writer, client: x.Client}
}

// body is that of a client's answer, as an io.Writer.
type body struct{ client exchange.Client }

// Write implements io.Writer.
func (b body) Write(p []byte) (int, error) { return b.client.WriteBody(p) }

// encoder is a coder that writes to a client.
type encoder struct {
	*coding.Writer
	client exchange.Client
}

// Flush implements Encoder.
func (e *encoder) Flush() error {
	if err := e.Writer.Flush(); err != nil {
		return err
	}
	return e.client.Flush()
}

var weak = []byte("W/")

// codedHead says how the body is coded now.
func codedHead(x *exchange.Exchange, c coding.Coding) {
	fields := &x.Response.Fields
	fields.Set(exchange.ContentEncoding, c.Bytes())
	fields.RemoveName("Accept-Ranges")
	x.Response.Length = exchange.Unknown
	// The bytes are others now, though they mean the same (RFC 9110, 8.8.1).
	if tag := fields.Get(exchange.ETag); len(tag) > 0 && tag[0] == '"' {
		fields.Set(exchange.ETag, x.Arena.Join(weak, tag))
	}
}
