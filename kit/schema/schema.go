// Package schema checks messages by the rules of their schema, those of
// protovalidate.
//
//	schema.go   Validate
//	whole.go    messages all of whose rules are known here
//	plain.go    in the others, what plainly holds, which protovalidate is spared
//	rule.go     the rules of fields that are known here
//	pattern.go  patterns of strings
//	some.go     the rule of messages that is known
//
// protovalidate compares the elements of lists and maps, durations, and messages
// as a whole by interpreting CEL, at about a microsecond for each value, and
// looks up the rules of each field each time. The commonest rules are looked at
// here first, and what plainly holds is left out.
// Everything else, and every violation, is protovalidate's to tell. Safe for
// concurrent use.
package schema

import (
	"sync"

	"buf.build/go/protovalidate"
	"google.golang.org/protobuf/proto"
)

// validator compiles a message type's rules at its first use.
var validator = sync.OnceValues(func() (protovalidate.Validator, error) { return protovalidate.New() })

var options = []protovalidate.ValidationOption{protovalidate.WithFilter(new(plain))}

// known are the messages all of whose rules are known here.
var known wholes

// Validate returns nil, or what protovalidate's Validate does: a
// *protovalidate.ValidationError for a message that breaks its rules.
func Validate(message proto.Message) error {
	if known.holds(message.ProtoReflect()) {
		return nil
	}
	rules, err := validator()
	if err != nil {
		return err
	}
	return rules.Validate(message, options...)
}
