package tcc

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// Limits of an HTTP call.
const (
	MaxURL     = 2048
	MaxBody    = 64 << 10
	MaxHeaders = 16
	MaxHeader  = 4 << 10 // bytes of a value
)

// ErrSpec is wrapped by every fault that Spec.Validate finds.
var ErrSpec = errors.New("invalid transaction")

// FieldError is an ErrSpec at a field, named as the API names it.
type FieldError struct{ Field, Problem string }

func (e *FieldError) Error() string { return fmt.Sprintf("%v: %s: %s", ErrSpec, e.Field, e.Problem) }

// Unwrap makes it ErrSpec.
func (e *FieldError) Unwrap() error { return ErrSpec }

// Validate reports all faults at once, each a FieldError.
func (s Spec) Validate() error {
	var faults []error
	fault := func(field, format string, args ...any) {
		faults = append(faults, &FieldError{Field: field, Problem: fmt.Sprintf(format, args...)})
	}
	switch {
	case s.Mode < TCC || s.Mode > Initiator:
		fault("mode", "%v", s.Mode)
	case s.Mode == Initiator && len(s.Branches) > 0:
		fault("branches", "an initiator opens a transaction without, and registers them")
	case s.Mode != Initiator && (len(s.Branches) == 0 || len(s.Branches) > MaxBranches):
		fault("branches", "%d, want 1 to %d", len(s.Branches), MaxBranches)
	}
	if len(s.Branches) > MaxBranches {
		return errors.Join(faults...)
	}
	faults = append(faults, s.Policy.validate("policy")...)
	seen := make(map[string]int, len(s.Branches))
	for i, branch := range s.Branches {
		field := fmt.Sprintf("branches[%d]", i)
		faults = append(faults, branch.validate(field, s.Mode)...)
		if first, found := seen[branch.ID]; found {
			fault(field+".branch_id", "%q is also branches[%d]", branch.ID, first)
			continue
		}
		seen[branch.ID] = i
	}
	return errors.Join(faults...)
}

// validate reports the faults of a branch at field.
func (b Branch) validate(field string, mode Mode) (faults []error) {
	fault := func(at, problem string) {
		faults = append(faults, &FieldError{Field: field + at, Problem: problem})
	}
	if b.ID == "" {
		fault(".branch_id", "it is missing")
	}
	faults = append(faults, b.Policy.validate(field+".policy")...)
	if b.HTTP == nil {
		if b.Service == "" {
			fault(".service", "it is missing; a branch has a service and an action, or http")
		}
		if b.Action == "" {
			fault(".action", "it is missing; a branch has a service and an action, or http")
		}
		return faults
	}
	if b.Service != "" || b.Action != "" || b.PayloadType != "" {
		fault(".http", "a branch has either http or a service, an action and a payload")
	}
	needed := map[Phase]bool{Try: mode != Initiator, Confirm: mode != Saga, Cancel: true}
	for phase := Try; phase <= Cancel; phase++ {
		call, at := b.HTTP.Of(phase), ".http."+phase.String()
		switch {
		case call != nil:
			faults = append(faults, call.validate(field+at)...)
		case needed[phase]:
			fault(at, "it is missing")
		}
	}
	return faults
}

func (c HTTPCall) validate(field string) (faults []error) {
	fault := func(at, format string, args ...any) {
		faults = append(faults, &FieldError{Field: field + at, Problem: fmt.Sprintf(format, args...)})
	}
	if c.URL == "" || len(c.URL) > MaxURL {
		fault(".url", "%d bytes, want 1 to %d", len(c.URL), MaxURL)
	}
	if len(c.Body) > MaxBody {
		fault(".body", "%d bytes, want at most %d", len(c.Body), MaxBody)
	} else if len(c.Body) > 0 && !json.Valid(c.Body) {
		fault(".raw_body", "it is no JSON")
	}
	if len(c.Headers) > MaxHeaders {
		fault(".headers", "%d, want at most %d", len(c.Headers), MaxHeaders)
	}
	for _, header := range c.Headers {
		switch name := strings.ToLower(header.Name); {
		case !token(name) || reserved[name] || strings.HasPrefix(name, "backlot-"):
			fault(".headers", "%q is not a name for a header of the caller's own", header.Name)
		case len(header.Value) > MaxHeader || strings.ContainsFunc(header.Value, control):
			fault(".headers", "the value of %q has control characters or more than %d bytes", header.Name, MaxHeader)
		}
	}
	return faults
}

// reserved are headers that belong to the connection or the coordinator.
var reserved = map[string]bool{
	"host": true, "content-length": true, "content-type": true, "transfer-encoding": true, "connection": true,
	"keep-alive": true, "te": true, "trailer": true, "upgrade": true, "expect": true, "proxy-connection": true,
	"user-agent": true, "idempotency-key": true,
}

// token reports whether text is a name by HTTP's grammar, in lower case.
func token(text string) bool {
	return text != "" && len(text) <= 128 && !strings.ContainsFunc(text, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || strings.ContainsRune("!#$%&'*+-.^_`|~", r))
	})
}

func control(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }

func (p Policy) validate(field string) (faults []error) {
	if p.CallTimeout < 0 || p.FirstBackoff < 0 || p.MostBackoff < 0 || p.Attempts < 0 {
		faults = append(faults, &FieldError{Field: field, Problem: "a time or number below 0"})
	}
	if p.MostBackoff > 0 && p.FirstBackoff > p.MostBackoff {
		faults = append(faults, &FieldError{
			Field:   field + ".first_backoff",
			Problem: fmt.Sprintf("%v, more than most_backoff %v", p.FirstBackoff, p.MostBackoff),
		})
	}
	return faults
}

// Digest identifies the content: equal specs have equal digests. Branches that
// an initiator registers are no part of it.
func (s Spec) Digest() [sha256.Size]byte {
	buf := binary.BigEndian.AppendUint32(nil, uint32(s.Mode))
	if s.Mode != Initiator {
		for _, branch := range s.Branches {
			buf = append(buf, branch.digest()...)
		}
	}
	if s.Policy != (Policy{}) || s.NotifyURL != "" {
		buf = append(appendField(buf, nil), 's') // no branch has an empty id
		buf = appendField(s.Policy.append(buf), []byte(s.NotifyURL))
	}
	return sha256.Sum256(buf)
}

// digest is a branch's content: equal branches have equal ones.
func (b Branch) digest() []byte {
	var buf []byte
	for _, field := range []string{b.ID, b.Service, b.Action, b.PayloadType} {
		buf = appendField(buf, []byte(field))
	}
	buf = appendField(buf, b.Payload)
	if b.Policy != (Policy{}) {
		buf = append(appendField(buf, nil), 'p')
		buf = b.Policy.append(buf)
	}
	if b.HTTP == nil {
		return buf
	}
	buf = append(appendField(buf, nil), 'h')
	for phase := Try; phase <= Cancel; phase++ {
		call := b.HTTP.Of(phase)
		if call == nil {
			buf = appendField(buf, nil)
			continue
		}
		buf = appendField(appendField(buf, []byte(call.URL)), call.Body)
		buf = binary.BigEndian.AppendUint32(buf, uint32(len(call.Headers)))
		for _, header := range call.Headers {
			buf = appendField(appendField(buf, []byte(header.Name)), []byte(header.Value))
		}
	}
	return buf
}

func (p Policy) append(buf []byte) []byte {
	for _, number := range []int64{int64(p.CallTimeout), int64(p.Attempts), int64(p.FirstBackoff), int64(p.MostBackoff)} {
		buf = binary.BigEndian.AppendUint64(buf, uint64(number))
	}
	return buf
}

// appendField writes the length first, so that no two specs run together.
func appendField(buf, field []byte) []byte {
	return append(binary.BigEndian.AppendUint32(buf, uint32(len(field))), field...)
}
