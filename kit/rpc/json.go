package rpc

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/backlot-video/backlot/kit/strictjson"
)

// jsonCodec is connect's own for requests in JSON, but refuses a field that
// the message does not have: people write JSON by hand, and a misspelt field
// that is passed over is a setting that is lost. Programs of another version
// speak proto, where unknown fields are kept.
type jsonCodec struct{ name string }

// jsonCodecs are under the two names that connect has for JSON.
var jsonCodecs = []jsonCodec{{"json"}, {"json; charset=utf-8"}}

// Name is the part of the content type.
func (c jsonCodec) Name() string { return c.name }

// Marshal writes a message.
func (c jsonCodec) Marshal(message any) ([]byte, error) { return c.MarshalAppend(nil, message) }

// MarshalAppend is Marshal behind what to has.
func (c jsonCodec) MarshalAppend(to []byte, message any) ([]byte, error) {
	m, ok := message.(proto.Message)
	if !ok {
		return nil, fmt.Errorf("%T is no proto message", message)
	}
	return protojson.MarshalOptions{}.MarshalAppend(to, m)
}

// MarshalStable is Marshal without the spaces that protojson adds at random.
func (c jsonCodec) MarshalStable(message any) ([]byte, error) {
	text, err := c.Marshal(message)
	if err != nil {
		return nil, err
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, text); err != nil {
		return nil, err
	}
	return compact.Bytes(), nil
}

// IsBinary tells that JSON is text.
func (c jsonCodec) IsBinary() bool { return false }

// Unmarshal reads a message; the error names the path of an unknown field.
func (c jsonCodec) Unmarshal(text []byte, message any) error {
	m, ok := message.(proto.Message)
	if !ok {
		return fmt.Errorf("%T is no proto message", message)
	}
	if len(text) == 0 {
		return errors.New("an empty text is no JSON object")
	}
	return strictjson.Unmarshal(text, m, nil)
}
