package api

import (
	"encoding/base64"

	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/structpb"
	_ "google.golang.org/protobuf/types/known/wrapperspb" // payloads of participants without messages of their own

	_ "github.com/backlot-video/backlot/proto/gen/backlot/settlement/v1" // payloads of the house's branches,
	_ "github.com/backlot-video/backlot/proto/gen/backlot/storefront/v1" // so that JSON can show and take them
)

// payload shows what a branch is given. JSON can show messages of known types
// only; one of another type is shown as a Struct of its type_url and base64.
func payload(typeURL string, value []byte) *anypb.Any {
	if typeURL == "" {
		return nil
	}
	if _, err := protoregistry.GlobalTypes.FindMessageByURL(typeURL); err == nil {
		return &anypb.Any{TypeUrl: typeURL, Value: value}
	}
	shown, err := anypb.New(&structpb.Struct{Fields: map[string]*structpb.Value{
		"type_url": structpb.NewStringValue(typeURL),
		"base64":   structpb.NewStringValue(base64.StdEncoding.EncodeToString(value)),
	}})
	if err != nil { // a type_url that is no text
		return nil
	}
	return shown
}
