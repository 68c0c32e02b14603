package client

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// RefusedError is an answer of the upload protocol that is no success.
type RefusedError struct {
	Status int
	Text   string
}

// Error implements error.
func (e *RefusedError) Error() string { return fmt.Sprintf("%d: %s", e.Status, e.Text) }

// Upload sends content in one piece and returns the upload's id.
func (s *Session) Upload(ctx context.Context, videoID, filename string, content []byte) (id string, err error) {
	location, err := s.CreateUpload(ctx, videoID, filename, int64(len(content)))
	if err != nil {
		return "", err
	}
	if len(content) > 0 {
		_, err = s.tus(ctx, http.MethodPatch, location, bytes.NewReader(content), map[string]string{
			"Upload-Offset": "0", "Content-Type": "application/offset+octet-stream",
		})
	}
	return location[strings.LastIndexByte(location, '/')+1:], err
}

// CreateUpload announces an upload and returns its address.
func (s *Session) CreateUpload(ctx context.Context, videoID, filename string, size int64) (location string, err error) {
	encode := base64.StdEncoding.EncodeToString
	header, err := s.tus(ctx, http.MethodPost, s.Gateway+"/uploads/", nil, map[string]string{
		"Upload-Length":   strconv.FormatInt(size, 10),
		"Upload-Metadata": "filename " + encode([]byte(filename)) + ",video_id " + encode([]byte(videoID)),
	})
	if err != nil {
		return "", err
	}
	location = header.Get("Location")
	if strings.HasPrefix(location, "/") {
		location = s.Gateway + location
	}
	return location, nil
}

func (s *Session) tus(ctx context.Context, method, address string, body io.Reader, header map[string]string) (http.Header, error) {
	request, err := http.NewRequestWithContext(ctx, method, address, body)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Tus-Resumable", "1.0.0")
	for key, value := range header {
		request.Header.Set(key, value)
	}
	response, err := s.HTTP.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(response.Body, 4096))
	if err != nil {
		return nil, err
	}
	if response.StatusCode/100 != 2 {
		return nil, &RefusedError{response.StatusCode, strings.TrimSpace(string(text))}
	}
	return response.Header, nil
}
