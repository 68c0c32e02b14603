package rollout

import (
	"errors"
	"fmt"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// ErrKey is a field by which facts cannot be chosen.
var ErrKey = errors.New("canary_by")

// Key finds the value of one field of facts in their wire bytes.
type Key struct{ path []protowire.Number }

// NewKey returns the key of a path of field names, `billing.country`.
func NewKey(message protoreflect.MessageDescriptor, path string) (Key, error) {
	var key Key
	names := strings.Split(path, ".")
	for i, name := range names {
		field := message.Fields().ByName(protoreflect.Name(name))
		switch {
		case field == nil:
			return Key{}, fmt.Errorf("%w: %s has no field %q", ErrKey, message.FullName(), name)
		case field.IsList(), field.IsMap():
			return Key{}, fmt.Errorf("%w: %s is a list", ErrKey, field.FullName())
		}
		key.path = append(key.path, field.Number())
		last := i == len(names)-1
		switch whole := field.Message() == nil; {
		case last && !whole:
			return Key{}, fmt.Errorf("%w: %s is a message; name a field of it", ErrKey, field.FullName())
		case !last && whole:
			return Key{}, fmt.Errorf("%w: %s has no fields", ErrKey, field.FullName())
		}
		message = field.Message()
	}
	return key, nil
}

// Value is the field's content in wire form, false where the fact lacks it or
// is malformed. Of several, the last counts.
func (k Key) Value(fact []byte) (value []byte, found bool) {
	for _, number := range k.path {
		if fact, found = last(fact, number); !found {
			return nil, false
		}
	}
	return fact, len(k.path) > 0 && len(fact) > 0
}

// last returns the content of the last field of a number.
func last(message []byte, wanted protowire.Number) (content []byte, found bool) {
	for len(message) > 0 {
		number, kind, n := protowire.ConsumeTag(message)
		if n < 0 {
			return nil, false
		}
		message = message[n:]
		size := protowire.ConsumeFieldValue(number, kind, message)
		if size < 0 {
			return nil, false
		}
		if number == wanted {
			content, found = message[:size], true
			if kind == protowire.BytesType {
				content, _ = protowire.ConsumeBytes(content)
			}
		}
		message = message[size:]
	}
	return content, found
}

// Chosen reports whether the stable hash of a value falls into the first ppm
// parts of a million. The version plays no part: who was in at 5% is in at
// 10%. Rulesets choose apart.
func Chosen(ruleset string, value []byte, ppm uint32) bool {
	const offset, prime = 14695981039346656037, 1099511628211 // FNV-1a
	h := uint64(offset)
	for i := range len(ruleset) {
		h = (h ^ uint64(ruleset[i])) * prime
	}
	h = (h ^ 0xFF) * prime
	for _, b := range value {
		h = (h ^ uint64(b)) * prime
	}
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	return h%1_000_000 < uint64(ppm)
}
