package kubernetes

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/backlot-video/backlot/kit/informer"
)

// object is what is needed of an object in JSON.
type object struct {
	Metadata struct {
		Name, Namespace, ResourceVersion string
		Annotations                      map[string]string
	}
}

func jsonMetadata(raw []byte) (m metadata, err error) {
	var o object
	if err := json.Unmarshal(raw, &o); err != nil {
		return m, err
	}
	m.name, m.namespace = []byte(o.Metadata.Name), []byte(o.Metadata.Namespace)
	_, m.whole = o.Metadata.Annotations[initialEventsEnd]
	m.revision, err = parseRevision([]byte(o.Metadata.ResourceVersion))
	return m, err
}

// addJSON adds an object as it is: a mask is for protobuf only.
func (b *batch) addJSON(raw []byte, deleted bool) error {
	m, err := jsonMetadata(raw)
	if err != nil {
		return err
	}
	from := len(b.data)
	if !deleted {
		b.data = append(b.data, raw...)
	}
	b.add(&m, b.data[from:len(b.data):len(b.data)], informer.JSON, deleted)
	return nil
}

func (a *answer) listJSON(deliver func(*batch) error) (page, error) {
	var list struct {
		Metadata struct{ ResourceVersion, Continue string }
		Items    []json.RawMessage
	}
	body := &io.LimitedReader{R: a.body, N: maxPage}
	if err := json.NewDecoder(body).Decode(&list); err != nil {
		if body.N == 0 {
			err = fmt.Errorf("a page is longer than %d bytes", maxPage)
		}
		return page{}, err
	}
	b := &a.frames.batch
	for _, raw := range list.Items {
		if len(raw) > a.frames.limit {
			return page{}, fmt.Errorf("an object of %d bytes is more than MaxObjectBytes, %d", len(raw), a.frames.limit)
		}
		if err := b.addJSON(raw, false); err != nil {
			return page{}, err
		}
		if b.full() {
			if err := b.flush(deliver); err != nil {
				return page{}, err
			}
		}
	}
	revision, err := parseRevision([]byte(list.Metadata.ResourceVersion))
	if err != nil {
		return page{}, err
	}
	return page{revision, list.Metadata.Continue, len(list.Items)}, b.flush(deliver)
}

// watchJSON reads lines, each an event.
func (a *answer) watchJSON(deliver func(*batch) error) error {
	lines := bufio.NewScanner(a.body)
	lines.Buffer(nil, a.frames.limit)
	b := &a.frames.batch
	for lines.Scan() {
		if err := a.line(b, lines.Bytes()); err != nil {
			return err
		}
		if err := b.flush(deliver); err != nil {
			return err
		}
	}
	if errors.Is(lines.Err(), bufio.ErrTooLong) {
		return fmt.Errorf("an event is longer than MaxObjectBytes, %d", a.frames.limit)
	}
	if lines.Err() == nil {
		return informer.ErrEnded
	}
	return lines.Err()
}

func (a *answer) line(b *batch, line []byte) error {
	var event struct {
		Type   string
		Object json.RawMessage
	}
	if err := json.Unmarshal(line, &event); err != nil {
		return err
	}
	switch event.Type {
	case "ADDED", "MODIFIED":
		return b.addJSON(event.Object, false)
	case "DELETED":
		return b.addJSON(event.Object, true)
	case "BOOKMARK":
		m, err := jsonMetadata(event.Object)
		b.mark(&m)
		return err
	case "ERROR":
		f := &failure{resource: a.source.resource.Name}
		return errors.Join(f.readJSON(event.Object), f)
	}
	return fmt.Errorf("event type %.20q is not known", event.Type)
}
