package kubernetes

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/backlot-video/backlot/kit/informer"
	"github.com/backlot-video/backlot/kit/informer/wire"
)

const (
	protobufType = "application/vnd.kubernetes.protobuf"
	jsonType     = "application/json"
	maxStatus    = 64 << 10
)

// answer is a list or a watch that the server sends.
type answer struct {
	source *Source
	body   io.ReadCloser
	frames *frames
	json   bool
}

func (a *answer) close() {
	a.body.Close()
	a.frames.release()
	a.frames = nil
}

// list reads a list.
func (a *answer) list(deliver func(*batch) error) (page, error) {
	if a.json {
		return a.listJSON(deliver)
	}
	return a.listProtobuf(deliver)
}

// watch reads events until the body ends, which is io.EOF, or deliver fails.
func (a *answer) watch(deliver func(*batch) error) error {
	if a.json {
		return a.watchJSON(deliver)
	}
	return a.watchProtobuf(deliver)
}

// get asks for the objects of a namespace. The caller closes the answer.
func (s *Source) get(ctx context.Context, namespace string, query url.Values) (*answer, error) {
	request, err := s.request(ctx, namespace, query)
	if err != nil {
		return nil, err
	}
	response, err := s.config.HTTP.Do(request)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.resource.Name, err)
	}
	kind, _, err := mime.ParseMediaType(response.Header.Get("Content-Type"))
	if response.StatusCode != http.StatusOK {
		defer response.Body.Close()
		return nil, s.refusal(response, kind)
	}
	if err != nil || kind != protobufType && kind != jsonType {
		response.Body.Close()
		return nil, fmt.Errorf("%s: the server answers in %q, which is neither %s nor %s",
			s.resource.Name, response.Header.Get("Content-Type"), protobufType, jsonType)
	}
	a := &answer{source: s, body: response.Body, frames: newFrames(response.Body, s.config.MaxObjectBytes), json: kind == jsonType}
	return a, nil
}

func (s *Source) request(ctx context.Context, namespace string, query url.Values) (*http.Request, error) {
	path := s.resource.path()
	if namespace != "" {
		path += "/namespaces/" + url.PathEscape(namespace)
	}
	if s.config.Selector != "" {
		query.Set("labelSelector", s.config.Selector)
	}
	if s.config.FieldSelector != "" {
		query.Set("fieldSelector", s.config.FieldSelector)
	}
	target := s.config.URL + path + "/" + s.resource.Name + "?" + query.Encode()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", protobufType+","+jsonType)
	token, err := s.config.token()
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	return request, err
}

// failure is what the server says instead of objects. It is an
// informer.Patient.
type failure struct {
	resource string
	status   int
	message  string
	after    time.Duration
}

func (f *failure) Error() string {
	text := fmt.Sprintf("%s: the API server says %d %s", f.resource, f.status, f.message)
	switch f.status {
	case http.StatusUnauthorized:
		text += " (is the token right, and not expired?)"
	case http.StatusForbidden:
		text += " (the account needs the verbs list and watch on " + f.resource + ")"
	}
	return text
}

// RetryAfter implements informer.Patient.
func (f *failure) RetryAfter() time.Duration { return f.after }

// Unwrap lets a revision that is gone be told.
func (f *failure) Unwrap() error {
	if f.status == http.StatusGone {
		return informer.ErrCompacted
	}
	return nil
}

// refusal reads the status of an answer that is none.
func (s *Source) refusal(response *http.Response, kind string) *failure {
	f := &failure{resource: s.resource.Name, status: response.StatusCode}
	raw, err := io.ReadAll(io.LimitReader(response.Body, maxStatus))
	// What the body says is a courtesy: the status says enough.
	if err == nil && kind == protobufType {
		if inner, err := unwrap(raw); err == nil {
			_ = f.readProtobuf(inner)
		}
	} else if err == nil {
		_ = f.readJSON(raw)
	}
	f.status = response.StatusCode
	if seconds, err := strconv.ParseUint(response.Header.Get("Retry-After"), 10, 16); err == nil {
		f.after = time.Duration(seconds) * time.Second
	}
	return f
}

// readProtobuf reads a meta.v1.Status.
func (f *failure) readProtobuf(raw []byte) error {
	r := wire.NewReader(raw)
	for r.Next() {
		switch r.Number() {
		case 3:
			f.message = string(r.Bytes())
		case 5:
			details := r.Message()
			for details.Next() {
				if details.Number() == 5 {
					f.wait(int64(details.Uint()))
				}
			}
		case 6:
			f.status = int(int32(r.Uint()))
		}
	}
	return r.Err()
}

// maxWait bounds what a server may ask for.
const maxWait = 1 << 16

func (f *failure) wait(seconds int64) {
	f.after = time.Duration(min(max(seconds, 0), maxWait)) * time.Second
}

func (f *failure) readJSON(raw []byte) error {
	var status struct {
		Code    int
		Message string
		Details struct{ RetryAfterSeconds int64 }
	}
	err := json.Unmarshal(raw, &status)
	f.status, f.message = status.Code, status.Message
	f.wait(status.Details.RetryAfterSeconds)
	return err
}

// ended is err, or what it means within a list that the body ends.
func ended(err error) error {
	if errors.Is(err, informer.ErrEnded) {
		return io.ErrUnexpectedEOF
	}
	return err
}
