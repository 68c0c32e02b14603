package h2

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"strings"

	"github.com/backlot-video/backlot/services/gateway/internal/exchange"
)

var (
	errPseudoMissing = malformed("pseudo-header is missing")
	errMethod        = malformed(":method")
	errScheme        = malformed(":scheme")
	errPath          = malformed(":path")
	errAuthority     = malformed(":authority")
	errConnect       = malformed("CONNECT")
	errShort         = malformed("stream ended before its content-length")
	errLong          = malformed("more bytes than content-length")
)

// request makes a request of a decoded head. ended: there is no body.
func (h *head) request(r *exchange.Request, ended bool) error {
	if h.err != nil {
		return h.err
	}
	method := h.pseudo[pseudoMethod]
	if len(method) == 0 || !validMethod(method) {
		return errMethod
	}
	if string(method) == "CONNECT" {
		return h.connect(r, ended)
	}
	if h.seen[pseudoProtocol] {
		return errPseudoUnknown
	}
	return h.plain(r, method, ended)
}

func (h *head) plain(r *exchange.Request, method []byte, ended bool) error {
	if !h.seen[pseudoScheme] || !h.seen[pseudoPath] {
		return errPseudoMissing
	}
	if scheme := h.pseudo[pseudoScheme]; !exchange.EqualFold(scheme, "http") && !exchange.EqualFold(scheme, "https") {
		return errScheme
	}
	if err := h.target(r, method); err != nil {
		return err
	}
	r.Protocol, r.Method = exchange.HTTP2, method
	r.Length = h.length
	if ended {
		if h.length > 0 {
			return errShort
		}
		r.Length = 0
	}
	r.Expect = h.expect && r.Length != 0
	r.Trailers = h.trailers
	h.joinCookies()
	return nil
}

// connect is an extended CONNECT, which becomes the upgrade that HTTP/1.1
// knows: a GET with a key of its own for the upstream (RFC 8441).
func (h *head) connect(r *exchange.Request, ended bool) error {
	if !h.seen[pseudoProtocol] || ended || h.length != exchange.Unknown {
		return errConnect
	}
	if err := h.plain(r, []byte("GET"), false); err != nil {
		return err
	}
	r.Upgrade, r.Length, r.Expect = h.pseudo[pseudoProtocol], 0, false
	if len(r.Upgrade) == 0 || !validMethod(r.Upgrade) {
		return errConnect
	}
	if exchange.EqualFold(r.Upgrade, "websocket") {
		var key [16]byte
		_, _ = rand.Read(key[:]) // never fails
		r.Fields.RemoveName(webSocketKey)
		r.Fields.Add(exchange.Other, []byte(webSocketKey), base64.StdEncoding.AppendEncode(nil, key[:]))
	}
	return nil
}

const (
	webSocketKey    = "Sec-WebSocket-Key"
	webSocketAccept = "Sec-WebSocket-Accept"
)

// target reads where a request goes.
func (h *head) target(r *exchange.Request, method []byte) error {
	path := h.pseudo[pseudoPath]
	star := string(path) == "*" && string(method) == "OPTIONS"
	if len(path) == 0 || path[0] != '/' && !star || !validPath(path) {
		return errPath
	}
	r.Path = path
	if mark := bytes.IndexByte(path, '?'); mark >= 0 {
		r.Path, r.Query, r.HasQuery = path[:mark], path[mark+1:], true
	}
	r.Authority = h.pseudo[pseudoAuthority]
	switch {
	case len(r.Authority) == 0:
		r.Authority = h.host
	case h.host != nil && !bytes.EqualFold(h.host, r.Authority):
		return errHost
	}
	if !validAuthority(r.Authority) {
		return errAuthority
	}
	return nil
}

// validMethod: a token, in any letters.
func validMethod(method []byte) bool {
	for _, c := range method {
		if !nameBytes[c] && (c < 'A' || c > 'Z') {
			return false
		}
	}
	return true
}

// validPath: visible ASCII, and no fragment.
func validPath(path []byte) bool {
	for _, c := range path {
		if c <= ' ' || c >= 0x7f || c == '#' {
			return false
		}
	}
	return true
}

// validAuthority: what a host and a port are made of, without user
// information.
func validAuthority(authority []byte) bool {
	for _, c := range authority {
		if !nameBytes[c] && (c < 'A' || c > 'Z') && strings.IndexByte("():;,=[]", c) < 0 || c == '#' || c == '^' || c == '`' || c == '|' {
			return false
		}
	}
	return true
}
