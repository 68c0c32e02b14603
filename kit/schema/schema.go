// Package schema checks messages by the rules of their schema, those of
// protovalidate.
//
//	schema.go  Validate
//	plain.go   what plainly holds, which protovalidate is spared
//	rule.go    the rules of fields that are known here
//	some.go    the rule of messages that is
//
// protovalidate compares the elements of lists and maps, durations, and messages
// as a whole by interpreting CEL, at about a microsecond for each value. The
// commonest rules of these are looked at here first, and what plainly holds is
// left out.
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

// Validate returns nil, or what protovalidate's Validate does: a
// *protovalidate.ValidationError for a message that breaks its rules.
func Validate(message proto.Message) error {
	rules, err := validator()
	if err != nil {
		return err
	}
	return rules.Validate(message, options...)
}
