package h2

import (
	"errors"

	"golang.org/x/net/http2/hpack"

	"github.com/backlot-video/backlot/services/gateway/internal/exchange"
)

// headKind is what a header block is.
type headKind uint8

const (
	ignoredHead headKind = iota // decoded for the table's sake alone
	requestHead
	responseHead
	trailerHead
)

// head is a header block while it is decoded, by the reading goroutine.
type head struct {
	kind   headKind
	fields *exchange.Fields // where they go
	arena  *exchange.Arena  // what they are views of

	left     int  // bytes that the list may still have
	tooLarge bool // it had more
	err      error
	regular  bool // a field that is no pseudo-header came
	pseudo   [pseudos][]byte
	seen     [pseudos]bool
	host     []byte
	length   int64 // of the body; exchange.Unknown: not said
	trailers bool  // te: trailers
	expect   bool
	cookies  int
}

// Pseudo-headers.
const (
	pseudoMethod = iota
	pseudoScheme
	pseudoPath
	pseudoAuthority
	pseudoProtocol
	pseudoStatus
	pseudos
)

// errors of heads are made once.
var (
	errPseudoLate      = malformed("pseudo-header after a field")
	errPseudoTwice     = malformed("pseudo-header twice")
	errPseudoUnknown   = malformed("pseudo-header that does not belong here")
	errName            = malformed("name of a field")
	errValue           = malformed("value of a field")
	errConnectionField = malformed("field that belongs to HTTP/1.1's connections")
	errLength          = malformed("content-length")
	errHost            = malformed("host and :authority differ")
)

// headDecoder decodes the blocks of a connection.
type headDecoder struct {
	hpack *hpack.Decoder
	most  int
	head  head
}

func newHeadDecoder(most int) *headDecoder {
	d := &headDecoder{most: most}
	d.hpack = hpack.NewDecoder(headerTable, d.emit)
	d.hpack.SetMaxStringLength(most)
	return d
}

// begin is for the next block. fields and arena may be nil for ignoredHead.
func (d *headDecoder) begin(kind headKind, fields *exchange.Fields, arena *exchange.Arena) {
	d.head = head{kind: kind, fields: fields, arena: arena, left: d.most, length: exchange.Unknown}
	d.hpack.SetEmitEnabled(kind != ignoredHead)
}

// decode takes a whole block. An error is one of the connection; what is
// wrong with the head alone is in head.err.
func (d *headDecoder) decode(block []byte) error {
	_, err := d.hpack.Write(block)
	if err == nil {
		err = d.hpack.Close()
	}
	if errors.Is(err, hpack.ErrStringLength) {
		return &ConnError{EnhanceYourCalm, "field longer than a whole head may be"}
	}
	if err != nil {
		return &ConnError{CompressionError, "header block"}
	}
	return nil
}

// emit takes a field of the block.
func (d *headDecoder) emit(f hpack.HeaderField) {
	h := &d.head
	if h.left -= len(f.Name) + len(f.Value) + fieldOverhead; h.left < 0 {
		h.tooLarge = true
		d.hpack.SetEmitEnabled(false)
		return
	}
	if h.err == nil {
		h.err = h.take(f.Name, f.Value)
	}
}

func (h *head) take(name, value string) error {
	if !validValue(value) {
		return errValue
	}
	if name != "" && name[0] == ':' {
		return h.takePseudo(name, value)
	}
	h.regular = true
	if !validName(name) {
		return errName
	}
	kept := h.arena.CopyString(name)
	id := exchange.NameOf(kept)
	if ofConnection(id) {
		return errConnectionField
	}
	switch id { //nolint:exhaustive // the others are fields like any
	case exchange.TE:
		if value != "trailers" {
			return errConnectionField
		}
		h.trailers = true
		return nil
	case exchange.ContentLength:
		return h.takeLength(value)
	case exchange.Host:
		if h.kind == requestHead {
			if h.host != nil {
				return errHost
			}
			h.host = h.arena.CopyString(value)
			return nil
		}
	case exchange.Expect:
		if h.kind == requestHead && exchange.EqualFold([]byte(value), "100-continue") {
			h.expect = true
			return nil
		}
	case exchange.Cookie:
		h.cookies++
	}
	h.fields.Add(id, kept, h.arena.CopyString(value))
	return nil
}

func (h *head) takePseudo(name, value string) error {
	if h.regular {
		return errPseudoLate
	}
	which := -1
	switch name {
	case ":method":
		which = pseudoMethod
	case ":scheme":
		which = pseudoScheme
	case ":path":
		which = pseudoPath
	case ":authority":
		which = pseudoAuthority
	case ":protocol":
		which = pseudoProtocol
	case ":status":
		which = pseudoStatus
	}
	if which < 0 || h.kind == trailerHead || (h.kind == responseHead) != (which == pseudoStatus) {
		return errPseudoUnknown
	}
	if h.seen[which] {
		return errPseudoTwice
	}
	h.seen[which] = true
	h.pseudo[which] = h.arena.CopyString(value)
	return nil
}

// takeLength reads a content-length; several must be the same.
func (h *head) takeLength(value string) error {
	if h.kind == trailerHead {
		return errLength
	}
	n := int64(0)
	for i := range len(value) {
		digit := value[i] - '0'
		if digit > 9 || n > (1<<62)/10 {
			return errLength
		}
		n = 10*n + int64(digit)
	}
	if value == "" || h.length != exchange.Unknown && h.length != n {
		return errLength
	}
	h.length = n
	return nil
}

// joinCookies makes one line of several, which HTTP/1.1 asks for (RFC 9113,
// 8.2.3).
func (h *head) joinCookies() {
	if h.cookies < 2 {
		return
	}
	var joined []byte
	first := -1
	for i := range *h.fields {
		f := &(*h.fields)[i]
		if f.ID != exchange.Cookie {
			continue
		}
		if first < 0 {
			first, joined = i, append(joined, f.Value...)
			continue
		}
		joined = append(append(joined, "; "...), f.Value...)
		f.ID = exchange.Removed
	}
	(*h.fields)[first].Value = h.arena.Copy(joined)
}

// nameBytes are those of a field's name in lower case (RFC 9110, 5.6.2).
var nameBytes = func() (set [256]bool) {
	for _, c := range []byte("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz") {
		set[c] = true
	}
	return set
}()

func validName(name string) bool {
	for i := range len(name) {
		if !nameBytes[name[i]] {
			return false
		}
	}
	return name != ""
}

// validValue: no control bytes but tabs, and no blanks around it.
func validValue(value string) bool {
	if value == "" {
		return true
	}
	for i := range len(value) {
		if c := value[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return !blank(value[0]) && !blank(value[len(value)-1])
}

func blank(c byte) bool { return c == ' ' || c == '\t' }
