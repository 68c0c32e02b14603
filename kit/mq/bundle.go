package mq

import (
	"encoding/binary"
	"errors"
)

// bundleMark begins a row of the outbox that holds several facts. No message
// begins so: a relay that does not know of bundles leaves them to one that does.
const bundleMark = 0x0f

// errBundle means a bundle that is cut or not one.
var errBundle = errors.New("bundle of facts does not decode")

// Bundle begins a row of the outbox for facts of many transactions that are
// added together: a row with its marks costs the database much the same for
// several facts as for one. What Bundled makes of each is appended to it. The
// row's id and sequence are those of one of its facts, so it is for keys whose
// facts are all in one bundle or may come in any order.
func Bundle() []byte { return []byte{bundleMark} }

// Bundled is what a bundle has of a fact that Encode or EncodeShort gave.
func Bundled(data []byte) []byte {
	part := binary.AppendUvarint(make([]byte, 0, binary.MaxVarintLen32+len(data)), uint64(len(data)))
	return append(part, data...)
}

// Facts are the encodings of the facts in a row of the outbox, each for Decode.
func Facts(row []byte) (facts [][]byte, err error) {
	if len(row) == 0 || row[0] != bundleMark {
		return [][]byte{row}, nil
	}
	for rest := row[1:]; len(rest) > 0; {
		size, n := binary.Uvarint(rest)
		if n <= 0 || size > uint64(len(rest)-n) {
			return nil, errBundle
		}
		end := n + int(size)
		facts = append(facts, rest[n:end:end])
		rest = rest[end:]
	}
	if len(facts) == 0 {
		return nil, errBundle
	}
	return facts, nil
}
