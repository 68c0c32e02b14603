package mq

import (
	"fmt"
	"strings"

	"buf.build/go/protovalidate"

	eventv1 "github.com/backlot-video/backlot/proto/gen/backlot/event/v1"
)

// valid checks an envelope against its contract. What plainly keeps it, as
// nearly all do, is spared the evaluation of its rules.
func valid(envelope *eventv1.Envelope) error {
	if plain(envelope) {
		return nil
	}
	if err := protovalidate.Validate(envelope); err != nil {
		return fmt.Errorf("%w: %w", ErrEnvelope, err)
	}
	return nil
}

// plain accepts nothing that the contract refuses; it may refuse what the
// contract accepts.
func plain(envelope *eventv1.Envelope) bool {
	short := func(text string, limit int) bool { return text != "" && len(text) <= limit }
	return plainID(envelope.GetId()) && short(envelope.GetTenantId(), 64) && short(envelope.GetKey(), 128) &&
		envelope.GetSource() != "" && plainType(envelope.GetType()) && envelope.GetData() != nil
}

// plainID accepts a UUID in lower case.
func plainID(id string) bool {
	if len(id) != 36 {
		return false
	}
	for i := range len(id) {
		c := id[i]
		if dash := i == 8 || i == 13 || i == 18 || i == 23; dash != (c == '-') {
			return false
		}
		if c != '-' && (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// plainType accepts `backlot.<service>.<fact>.v<n>`.
func plainType(name string) bool {
	rest, found := strings.CutPrefix(name, "backlot.")
	service, rest, found2 := strings.Cut(rest, ".")
	fact, version, found3 := strings.Cut(rest, ".v")
	if !found || !found2 || !found3 {
		return false
	}
	return made(service, 'a', 'z', 'a') && made(fact, 'a', 'z', '_') && made(version, '0', '9', '0')
}

// made tells whether text has only characters from first to last, and extra.
func made(text string, first, last, extra byte) bool {
	for i := range len(text) {
		if c := text[i]; (c < first || c > last) && c != extra {
			return false
		}
	}
	return text != ""
}
