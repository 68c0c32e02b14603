package rpc

import (
	"errors"
	"fmt"
	"strings"

	"buf.build/go/protovalidate"
	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"github.com/backlot-video/backlot/kit/schema"
)

// Validate returns nil or an InvalidArgument that names each field at fault:
// "prices[0].minor: must be greater than 0", with the violations as a detail.
// Servers do so with every request; it is for handlers whose requests carry
// others.
func Validate(message proto.Message) error {
	err := schema.Validate(message)
	if err == nil {
		return nil
	}
	var invalid *protovalidate.ValidationError
	if !errors.As(err, &invalid) {
		return fmt.Errorf("validate %s: %w", message.ProtoReflect().Descriptor().FullName(), err)
	}
	texts := make([]string, 0, len(invalid.Violations))
	for _, violation := range invalid.Violations {
		text := violation.Proto.GetMessage()
		if path := protovalidate.FieldPathString(violation.Proto.GetField()); path != "" {
			text = path + ": " + text
		}
		texts = append(texts, text)
	}
	shown := connect.NewError(connect.CodeInvalidArgument, errors.New(strings.Join(texts, "; ")))
	if detail, err := connect.NewErrorDetail(invalid.ToProto()); err == nil {
		shown.AddDetail(detail)
	}
	return shown
}
