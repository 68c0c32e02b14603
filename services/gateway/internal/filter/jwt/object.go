package jwt

import (
	"bytes"
	"encoding/json"
	"io"
)

// object is a JSON object, by exact names.
type object map[string]value

// parseObject reads one object and nothing after it. The library's decoding
// into a struct takes names in any letters, and the last of several: an issuer
// that lets a stranger choose a name could be made to say what it did not.
func parseObject(raw []byte) (object, error) {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	if token, err := decoder.Token(); err != nil || token != json.Delim('{') {
		return nil, ErrMalformed
	}
	o := object{}
	for decoder.More() {
		token, err := decoder.Token()
		if err != nil {
			return nil, ErrMalformed
		}
		name, isText := token.(string)
		if _, twice := o[name]; twice || !isText {
			return nil, ErrMalformed
		}
		var raw json.RawMessage
		if err := decoder.Decode(&raw); err != nil {
			return nil, ErrMalformed
		}
		o[name] = value(raw)
	}
	if _, err := decoder.Token(); err != nil {
		return nil, ErrMalformed
	}
	if _, err := decoder.Token(); err != io.EOF {
		return nil, ErrMalformed
	}
	return o, nil
}
