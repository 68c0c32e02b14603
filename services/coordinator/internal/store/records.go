package store

import (
	"encoding/binary"
	"errors"

	"github.com/backlot-video/backlot/services/coordinator/internal/tcc"
)

// errRecords means bytes that encodeRecords has not made.
var errRecords = errors.New("records cannot be read")

// recordsVersion is the first byte. Each record follows with its length in
// front: numbers, then what has a length. A later version may add to the end of a record.
const recordsVersion = 1

// encodeRecords writes records in their stored form.
func encodeRecords(records []tcc.Record) ([]byte, error) {
	buf := []byte{recordsVersion}
	var one []byte
	for _, r := range records {
		one = one[:0]
		for _, number := range [...]int{r.Sequence, r.Branch, int(r.Phase), int(r.Status), r.Attempt} {
			one = binary.AppendVarint(one, int64(number))
		}
		registered, err := encodeRegistered(r.Registered)
		if err != nil {
			return nil, err
		}
		one = appendBytes(one, []byte(r.Problem))
		one = appendBytes(one, registered)
		buf = appendBytes(buf, one)
	}
	return buf, nil
}

func appendBytes(buf, value []byte) []byte {
	return append(binary.AppendUvarint(buf, uint64(len(value))), value...)
}

// parseRecords is encodeRecords's inverse; no bytes are no records.
func parseRecords(data []byte) ([]tcc.Record, error) {
	if len(data) == 0 {
		return nil, nil
	}
	if data[0] != recordsVersion {
		return nil, errRecords
	}
	var records []tcc.Record
	rest := reader{data: data[1:]}
	for len(rest.data) > 0 {
		one := reader{data: rest.bytes()}
		record := tcc.Record{
			Sequence: one.number(), Branch: one.number(), Phase: tcc.Phase(one.number()),
			Status: tcc.Status(one.number()), Attempt: one.number(), Problem: string(one.bytes()),
		}
		registered, err := decodeRegistered(one.bytes())
		if rest.failed || one.failed || err != nil {
			return nil, errors.Join(errRecords, err)
		}
		record.Registered = registered
		records = append(records, record)
	}
	return records, nil
}

// reader takes values off data until that fails.
type reader struct {
	data   []byte
	failed bool
}

func (r *reader) number() int {
	value, n := binary.Varint(r.data)
	if n <= 0 || int64(int(value)) != value {
		r.failed, r.data = true, nil
		return 0
	}
	r.data = r.data[n:]
	return int(value)
}

func (r *reader) bytes() []byte {
	size, n := binary.Uvarint(r.data)
	if n <= 0 || size > uint64(len(r.data)-n) {
		r.failed, r.data = true, nil
		return nil
	}
	value := r.data[n : n+int(size)]
	r.data = r.data[n+int(size):]
	return value
}
