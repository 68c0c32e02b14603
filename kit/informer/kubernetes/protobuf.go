package kubernetes

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/backlot-video/backlot/kit/informer"
	"github.com/backlot-video/backlot/kit/informer/wire"
)

// magic is before every object, whose message is in a runtime.Unknown.
const magic = "k8s\x00"

var errEncoded = errors.New("an object has a content encoding, which is not supported")

// unwrap returns the message of an object that follows magic.
func unwrap(raw []byte) ([]byte, error) {
	rest, found := bytes.CutPrefix(raw, []byte(magic))
	if !found {
		return nil, fmt.Errorf("%w: an object does not begin with k8s", wire.ErrMalformed)
	}
	var object []byte
	r := wire.NewReader(rest)
	for r.Next() {
		switch r.Number() {
		case 2:
			object = r.Bytes()
		case 3:
			if len(r.Bytes()) > 0 {
				return nil, errEncoded
			}
		}
	}
	return object, r.Err()
}

// readMetadata finds an object's metadata, its field 1.
func readMetadata(object []byte) (m metadata, err error) {
	r := wire.NewReader(object)
	for r.Next() {
		if r.Number() == 1 {
			return parseMetadata(r.Bytes())
		}
	}
	if r.Err() == nil {
		return m, fmt.Errorf("%w: an object has no metadata", wire.ErrMalformed)
	}
	return m, r.Err()
}

func parseMetadata(raw []byte) (m metadata, err error) {
	var revision []byte
	r := wire.NewReader(raw)
	for r.Next() {
		switch r.Number() {
		case 1:
			m.name = r.Bytes()
		case 3:
			m.namespace = r.Bytes()
		case 6:
			revision = r.Bytes()
		case 12:
			entry := r.Message()
			m.whole = m.whole || entry.Next() && entry.Number() == 1 && string(entry.Bytes()) == initialEventsEnd
		}
	}
	if r.Err() != nil {
		return m, r.Err()
	}
	m.revision, err = parseRevision(revision)
	return m, err
}

// watchProtobuf reads frames: four bytes of length, and a meta.v1.WatchEvent.
func (a *answer) watchProtobuf(deliver func(*batch) error) error {
	f := a.frames
	for {
		head, err := f.next(4)
		if errors.Is(err, io.EOF) {
			return informer.ErrEnded
		}
		if err != nil {
			return err
		}
		length := binary.BigEndian.Uint32(head)
		if length > uint32(f.limit) {
			return fmt.Errorf("an event of %d bytes is more than MaxObjectBytes, %d", length, f.limit)
		}
		frame, err := f.next(int(length))
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		if err == nil {
			err = a.event(&f.batch, frame)
		}
		if err != nil {
			return err
		}
		if f.another() && !f.batch.full() && !f.batch.whole {
			continue
		}
		if err := f.batch.flush(deliver); err != nil {
			return err
		}
	}
}

// another tells whether a whole frame is there already.
func (f *frames) another() bool {
	return f.has(4) && uint64(f.to-f.from-4) >= uint64(binary.BigEndian.Uint32(f.buffer[f.from:]))
}

// event adds what a frame tells to a batch.
func (a *answer) event(b *batch, frame []byte) error {
	var kind, raw []byte
	r := wire.NewReader(frame)
	for r.Next() {
		switch r.Number() {
		case 1:
			kind = r.Bytes()
		case 2: // a RawExtension
			for inner := r.Message(); inner.Next(); {
				if inner.Number() == 1 {
					raw = inner.Bytes()
				}
			}
		}
	}
	if r.Err() != nil {
		return r.Err()
	}
	object, err := unwrap(raw)
	if err != nil {
		return err
	}
	switch string(kind) {
	case "ADDED", "MODIFIED":
		return a.object(b, object, false)
	case "DELETED":
		return a.object(b, object, true)
	case "BOOKMARK":
		m, err := readMetadata(object)
		b.mark(&m)
		return err
	case "ERROR":
		f := &failure{resource: a.source.resource.Name}
		return errors.Join(f.readProtobuf(object), f)
	}
	return fmt.Errorf("event type %.20q is not known", kind)
}

// object adds what the mask leaves of an object to a batch.
func (a *answer) object(b *batch, object []byte, deleted bool) error {
	m, err := readMetadata(object)
	if err != nil {
		return err
	}
	from := len(b.data)
	switch {
	case deleted:
	case a.source.mask == nil:
		b.data = append(b.data, object...)
	default:
		if b.data, err = a.source.mask.Append(b.data, object); err != nil {
			return fmt.Errorf("%s %.100q: %w", a.source.resource.Kind, m.name, err)
		}
	}
	b.add(&m, b.data[from:len(b.data):len(b.data)], informer.Protobuf, deleted)
	return nil
}

// listProtobuf reads a list without holding more than one object of it: magic,
// and in a runtime.Unknown the list: its metadata (1) and its items (2).
func (a *answer) listProtobuf(deliver func(*batch) error) (page, error) {
	f := a.frames
	head, err := f.next(len(magic))
	if err != nil || string(head) != magic {
		return page{}, errors.Join(err, fmt.Errorf("%w: a list does not begin with k8s", wire.ErrMalformed))
	}
	var end page
	var found bool
	for {
		number, length, err := f.field(1 << 40)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return page{}, err
		}
		switch {
		case number == 2:
			found = true
			err = a.items(&end, length, deliver)
		case number == 3 && length > 0:
			err = errEncoded
		default:
			err = f.discard(length)
		}
		if err != nil {
			return page{}, err
		}
	}
	if !found {
		return page{}, fmt.Errorf("%w: there is no list", io.ErrUnexpectedEOF)
	}
	return end, f.batch.flush(deliver)
}

// items reads the fields of a list, which are length bytes.
func (a *answer) items(end *page, length int64, deliver func(*batch) error) error {
	f, revision := a.frames, false
	for length > 0 {
		before := f.position
		number, size, err := f.field(length)
		if err != nil {
			return unexpected(err)
		}
		length -= f.position - before + size
		if length < 0 {
			return fmt.Errorf("%w: a list is longer than it says", wire.ErrMalformed)
		}
		if number != 1 && number != 2 {
			if err := f.discard(size); err != nil {
				return err
			}
			continue
		}
		if size > int64(f.limit) {
			return fmt.Errorf("an object of %d bytes is more than MaxObjectBytes, %d", size, f.limit)
		}
		raw, err := f.next(int(size))
		if err != nil {
			return unexpected(err)
		}
		if number == 1 {
			revision = true
			err = end.read(raw)
		} else {
			end.items++
			err = a.object(&f.batch, raw, false)
		}
		if err == nil && f.batch.full() {
			err = f.batch.flush(deliver)
		}
		if err != nil {
			return err
		}
	}
	if !revision {
		return fmt.Errorf("%w: a list has no metadata", wire.ErrMalformed)
	}
	return nil
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// read reads a meta.v1.ListMeta.
func (p *page) read(raw []byte) (err error) {
	r := wire.NewReader(raw)
	for r.Next() && err == nil {
		switch r.Number() {
		case 2:
			p.revision, err = parseRevision(r.Bytes())
		case 3:
			p.next = string(r.Bytes())
		}
	}
	return errors.Join(err, r.Err())
}

// field reads the tag and the length of a field, of which no other type than
// bytes is expected. Its length is at most most.
func (f *frames) field(most int64) (number int, length int64, err error) {
	tag, err := f.uvarint()
	if err != nil {
		return 0, 0, err
	}
	if tag&7 != uint64(wire.Bytes) || tag>>3 > 1<<29-1 {
		return 0, 0, fmt.Errorf("%w: tag %#x within a list", wire.ErrMalformed, tag)
	}
	size, err := f.uvarint()
	if err != nil {
		return 0, 0, unexpected(err)
	}
	if size > uint64(most) {
		return 0, 0, fmt.Errorf("%w: a field of %d bytes within %d", wire.ErrMalformed, size, most)
	}
	return int(tag >> 3), int64(size), nil
}

func (f *frames) uvarint() (uint64, error) { return binary.ReadUvarint(f) }

// ReadByte implements io.ByteReader.
func (f *frames) ReadByte() (byte, error) {
	b, err := f.next(1)
	if err != nil {
		return 0, err
	}
	return b[0], nil
}
