package media_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"gocloud.dev/blob"
	"gocloud.dev/blob/memblob"

	"github.com/backlot-video/backlot/services/gateway/internal/media"
)

type source struct {
	dir    string
	bucket *blob.Bucket
}

func (s source) Bucket(context.Context, string) (*blob.Bucket, error) { return s.bucket, nil }
func (s source) BucketDir(string) (string, bool)                      { return s.dir, s.dir != "" }

var content = []byte("0123456789")

// each runs a test over a folder and over a bucket that is none.
func each(t *testing.T, test func(t *testing.T, server *media.Server)) {
	t.Run("folder", func(t *testing.T) {
		dir := t.TempDir()
		if err := os.MkdirAll(filepath.Join(dir, "main/v/j"), 0o700); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"main/v/j/seg.m4s", "main/v/j/secret.key"} {
			if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		test(t, media.New(source{dir: dir}, slog.New(slog.DiscardHandler)))
	})
	t.Run("bucket", func(t *testing.T) {
		bucket := memblob.OpenBucket(nil)
		defer func() { _ = bucket.Close() }()
		for _, name := range []string{"main/v/j/seg.m4s", "main/v/j/secret.key"} {
			if err := bucket.WriteAll(t.Context(), name, content, nil); err != nil {
				t.Fatal(err)
			}
		}
		test(t, media.New(source{bucket: bucket}, slog.New(slog.DiscardHandler)))
	})
}

func get(server *media.Server, object string, header map[string]string) *httptest.ResponseRecorder {
	request := httptest.NewRequest(http.MethodGet, "/", nil)
	for k, v := range header {
		request.Header.Set(k, v)
	}
	recorder := httptest.NewRecorder()
	server.ServeMedia(recorder, request, "media", object)
	return recorder
}

func TestRangeAndValidator(t *testing.T) {
	each(t, func(t *testing.T, server *media.Server) {
		whole := get(server, "main/v/j/seg.m4s", nil)
		if whole.Code != http.StatusOK || !bytes.Equal(whole.Body.Bytes(), content) || whole.Header().Get("Content-Type") != "video/iso.segment" {
			t.Fatalf("got %d %q %v", whole.Code, whole.Body, whole.Header())
		}
		part := get(server, "main/v/j/seg.m4s", map[string]string{"Range": "bytes=2-4"})
		if part.Code != http.StatusPartialContent || part.Body.String() != "234" || part.Header().Get("Content-Range") != "bytes 2-4/10" {
			t.Errorf("range: got %d %q %v", part.Code, part.Body, part.Header())
		}
		if code := get(server, "main/v/j/seg.m4s", map[string]string{"Range": "bytes=99-"}).Code; code != http.StatusRequestedRangeNotSatisfiable {
			t.Errorf("range past the end: %d", code)
		}
		cached := get(server, "main/v/j/seg.m4s", map[string]string{"If-None-Match": whole.Header().Get("ETag")})
		if cached.Code != http.StatusNotModified {
			t.Errorf("known etag: %d", cached.Code)
		}
	})
}

func TestOnlyMediaOfTheBucketIsServed(t *testing.T) {
	each(t, func(t *testing.T, server *media.Server) {
		for _, object := range []string{"main/v/j/secret.key", "main/v/j/none.m4s", "../x.m4s", "/etc/x.mp4", "main//v.mp4", "main/v/j"} {
			if code := get(server, object, nil).Code; code != http.StatusNotFound {
				t.Errorf("%s: %d", object, code)
			}
		}
	})
}
