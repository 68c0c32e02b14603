package filter

import (
	"errors"
	"fmt"
	"strings"

	"github.com/backlot-video/backlot/services/gateway/internal/edge"
	"github.com/backlot-video/backlot/services/gateway/internal/exchange"
)

// Edits are changes of a header, compiled. A nil Edits changes nothing.
type Edits struct {
	remove []fieldName
	set    []line
	add    []line
}

type fieldName struct {
	id   exchange.Name
	text string
}

func (n fieldName) removeFrom(f exchange.Fields) {
	if n.id == exchange.Other {
		f.RemoveName(n.text)
		return
	}
	f.Remove(n.id)
}

// line is a field whose value is made of parts.
type line struct {
	fieldName
	name  []byte
	value []byte // of a value without placeholders
	parts []part // else
}

// part is text, or a placeholder.
type part struct {
	kind placeholder
	text []byte    // of partText
	of   fieldName // of partRequest
}

type placeholder uint8

const (
	partText placeholder = iota
	partRequest
	partClient
	partID
	partSubject
	partRoute
	partProtocol
)

var placeholders = map[string]placeholder{
	"CLIENT_IP": partClient, "REQUEST_ID": partID, "SUBJECT": partSubject, "ROUTE": partRoute, "PROTOCOL": partProtocol,
}

const maxEditValue = 4 << 10

// CompileEdits checks and compiles edits; an error names the header.
func CompileEdits(edits edge.HeaderEdits) (*Edits, error) {
	if len(edits.Remove)+len(edits.Set)+len(edits.Add) == 0 {
		return nil, nil
	}
	var faults []error
	compiled := &Edits{}
	for _, name := range edits.Remove {
		if err := mayEdit(name); err != nil {
			faults = append(faults, fmt.Errorf("remove %q: %w", name, err))
		}
		compiled.remove = append(compiled.remove, nameOf(name))
	}
	for _, kind := range []struct {
		word string
		from []edge.HeaderValue
		to   *[]line
	}{{"set", edits.Set, &compiled.set}, {"add", edits.Add, &compiled.add}} {
		for _, header := range kind.from {
			made, err := compileLine(header)
			if err != nil {
				faults = append(faults, fmt.Errorf("%s %q: %w", kind.word, header.Name, err))
			}
			*kind.to = append(*kind.to, made)
		}
	}
	return compiled, errors.Join(faults...)
}

func nameOf(name string) fieldName {
	return fieldName{id: exchange.NameOf([]byte(name)), text: name}
}

// mayEdit refuses names that are no names, those that belong to a connection,
// and the principal, which the gateway alone sets.
func mayEdit(name string) error {
	if !isToken(name) {
		return errors.New("is not a header name")
	}
	switch exchange.NameOf([]byte(name)) {
	case exchange.Connection, exchange.ContentLength, exchange.Host, exchange.KeepAlive, exchange.ProxyConnection,
		exchange.TE, exchange.Trailer, exchange.TransferEncoding, exchange.Upgrade, exchange.Expect:
		return errors.New("belongs to the connection and cannot be edited")
	case exchange.BacklotPrincipal:
		return errors.New("is the gateway's own and cannot be edited")
	default:
	}
	return nil
}

func compileLine(header edge.HeaderValue) (line, error) {
	if err := mayEdit(header.Name); err != nil {
		return line{}, err
	}
	if len(header.Value) > maxEditValue || !isFieldValue(header.Value) {
		return line{}, fmt.Errorf("value has characters that a header cannot carry, or more than %d", maxEditValue)
	}
	made := line{fieldName: nameOf(header.Name), name: []byte(header.Name)}
	parts, err := compileParts(header.Value)
	if err != nil {
		return line{}, err
	}
	if len(parts) == 1 && parts[0].kind == partText {
		made.value = parts[0].text
		return made, nil
	}
	made.parts = parts
	return made, nil
}

// compileParts cuts a value at its placeholders; %% is a percent sign.
func compileParts(value string) ([]part, error) {
	var parts []part
	text := []byte{}
	for value != "" {
		before, after, found := strings.Cut(value, "%")
		text = append(text, before...)
		if !found {
			break
		}
		word, rest, closed := strings.Cut(after, "%")
		if !closed {
			return nil, errors.New("value has a % without its other (%% stands for one)")
		}
		value = rest
		if word == "" {
			text = append(text, '%')
			continue
		}
		made, err := compilePlaceholder(word)
		if err != nil {
			return nil, err
		}
		if len(text) > 0 {
			parts = append(parts, part{text: text})
			text = nil
		}
		parts = append(parts, made)
	}
	if len(text) > 0 || len(parts) == 0 {
		parts = append(parts, part{text: text})
	}
	return parts, nil
}

func compilePlaceholder(word string) (part, error) {
	if kind, known := placeholders[word]; known {
		return part{kind: kind}, nil
	}
	inner, opened := strings.CutPrefix(word, "REQ(")
	name, closed := strings.CutSuffix(inner, ")")
	if !opened || !closed || !isToken(name) {
		return part{}, fmt.Errorf("placeholder %%%s%% is not known", word)
	}
	return part{kind: partRequest, of: nameOf(name)}, nil
}

// Apply makes the edits in fields, which are x's, of the request or of the
// answer.
func (e *Edits) Apply(x *exchange.Exchange, fields *exchange.Fields) {
	if e == nil {
		return
	}
	for i := range e.remove {
		e.remove[i].removeFrom(*fields)
	}
	for i := range e.set {
		l := &e.set[i]
		// The value may be made of what is replaced.
		value := l.valueFor(x)
		l.removeFrom(*fields)
		fields.Add(l.id, l.name, value)
	}
	for i := range e.add {
		l := &e.add[i]
		fields.Add(l.id, l.name, l.valueFor(x))
	}
}

func (l *line) valueFor(x *exchange.Exchange) []byte {
	if l.parts == nil {
		return l.value
	}
	var room [8][]byte
	texts := room[:0]
	for i := range l.parts {
		texts = append(texts, l.parts[i].valueFor(x))
	}
	return x.Arena.Join(texts...)
}

func (p *part) valueFor(x *exchange.Exchange) []byte {
	switch p.kind {
	case partRequest:
		return p.of.valueIn(x.Request.Fields)
	case partClient:
		return addressText(x, x.From)
	case partID:
		return x.ID
	case partSubject:
		return x.Subject
	case partRoute:
		return x.Arena.CopyString(x.Route.Name)
	case partProtocol:
		return x.Arena.CopyString(x.Request.Protocol.String())
	default:
		return p.text
	}
}

func (n fieldName) valueIn(f exchange.Fields) []byte {
	if n.id != exchange.Other {
		return f.Get(n.id)
	}
	value, _ := f.Find(n.text)
	return value
}

// isToken tells whether a text may be a header's name (RFC 9110, 5.6.2).
func isToken(name string) bool {
	for i := range len(name) {
		c := name[i]
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		if !letter && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return name != ""
}

// isFieldValue tells whether a text may stand in a header.
func isFieldValue[T string | []byte](value T) bool {
	for i := range len(value) {
		if c := value[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}
