package intake

import (
	"context"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/backlot-video/backlot/kit/database"
	"github.com/backlot-video/backlot/kit/database/databasetest"
	"github.com/backlot-video/backlot/kit/identity"
	eventv1 "github.com/backlot-video/backlot/proto/gen/backlot/event/v1"
	"github.com/backlot-video/backlot/services/transcoder/internal/job"
	"github.com/backlot-video/backlot/services/transcoder/internal/store"
	"github.com/backlot-video/backlot/services/transcoder/internal/upload"
	schema "github.com/backlot-video/backlot/sql"
)

// bench is an intake behind a server that believes header "As" (kind/id).
type bench struct {
	*Intake
	t      *testing.T
	store  *store.Store
	server *httptest.Server
	now    time.Time
	ready  error
	made   []job.Job
}

const limit = 1000

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, now: time.Now()}
	clock := func() time.Time { return b.now }
	db := databasetest.Open(t, databasetest.Config(t, database.SQLite, "transcoder"), schema.Migrations("transcoder"))
	b.store = store.New(db, store.Config{
		Node: "n", Clock: clock, MaxQueued: 2, MaxOpen: 3,
		AddFact: func(context.Context, *sql.Tx, *eventv1.Envelope) error { return nil },
	})
	in, err := New(b.store, Config{
		Dir: t.TempDir(), MaxBytes: limit, Expiry: time.Hour, Clock: clock, Log: slog.New(slog.DiscardHandler),
		Ready: func() error { return b.ready },
		Video: func(_ context.Context, _ identity.Principal, id string) error {
			return map[string]error{"unknown": ErrVideo, "silent": ErrUnavailable}[id]
		},
		Finished: func(j job.Job) { b.made = append(b.made, j) },
	})
	if err != nil {
		t.Fatal(err)
	}
	b.Intake = in
	kinds := map[string]identity.Kind{"creator": identity.Creator, "viewer": identity.Viewer, "anonymous": identity.Anonymous}
	b.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		kind, id, _ := strings.Cut(r.Header.Get("As"), "/")
		principal := identity.Principal{Kind: kinds[kind], ID: id, TenantID: "main"}
		in.ServeHTTP(w, r.WithContext(identity.With(r.Context(), principal)))
	}))
	t.Cleanup(b.server.Close)
	return b
}

// do sends a tus request; headers are "Name: value".
func (b *bench) do(as, method, path, body string, headers ...string) (*http.Response, string) {
	b.t.Helper()
	request, err := http.NewRequestWithContext(b.t.Context(), method, b.server.URL+path, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	request.Header.Set("As", as)
	request.Header.Set("Tus-Resumable", "1.0.0")
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		request.Header.Set(name, value)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		b.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return response, string(text)
}

func metadata(video, file string) string {
	encode := base64.StdEncoding.EncodeToString
	return "Upload-Metadata: video_id " + encode([]byte(video)) + ",filename " + encode([]byte(file))
}

// create begins an upload and returns its path.
func (b *bench) create(size int) string {
	b.t.Helper()
	response, text := b.do("creator/c", "POST", BasePath, "", "Upload-Length: "+strconv.Itoa(size), metadata("v", "f.mp4"))
	if response.StatusCode != http.StatusCreated {
		b.t.Fatalf("create: %s %s", response.Status, text)
	}
	location := response.Header.Get("Location")
	if !strings.HasPrefix(location, BasePath) || len(location) != len(BasePath)+36 {
		b.t.Fatalf("location %q", location)
	}
	return location
}

func (b *bench) patch(as, path string, offset int, body string, headers ...string) (*http.Response, string) {
	b.t.Helper()
	return b.do(as, "PATCH", path, body, append(headers, "Content-Type: application/offset+octet-stream", "Upload-Offset: "+strconv.Itoa(offset))...)
}

func TestUploadResumesAndMakesAJob(t *testing.T) {
	b := newBench(t)
	path := b.create(10)
	if response, text := b.patch("creator/c", path, 0, "01234"); response.StatusCode != http.StatusNoContent {
		t.Fatalf("first part: %s %s", response.Status, text)
	}
	if response, _ := b.do("creator/c", "HEAD", path, ""); response.Header.Get("Upload-Offset") != "5" {
		t.Errorf("offset %q", response.Header.Get("Upload-Offset"))
	}
	if response, _ := b.patch("creator/c", path, 3, "xx"); response.StatusCode != http.StatusConflict {
		t.Errorf("wrong offset: %s", response.Status)
	}
	response, text := b.patch("creator/c", path, 5, "56789")
	if response.StatusCode != http.StatusNoContent {
		t.Fatalf("last part: %s %s", response.Status, text)
	}
	if len(b.made) != 1 || response.Header.Get(JobHeader) != b.made[0].ID || b.made[0].VideoID != "v" {
		t.Errorf("jobs %+v, header %q", b.made, response.Header.Get(JobHeader))
	}
	id := strings.TrimPrefix(path, BasePath)
	if data, err := os.ReadFile(b.Path(id)); err != nil || string(data) != "0123456789" {
		t.Errorf("file %q, %v", data, err)
	}
	if response, _ := b.do("creator/c", "DELETE", path, ""); response.StatusCode != http.StatusConflict {
		t.Errorf("deleted a finished upload: %s", response.Status)
	}
}

func TestClientThatMissedTheAnswerHearsItLater(t *testing.T) {
	b := newBench(t)
	path := b.create(5)
	b.patch("creator/c", path, 0, "01234")
	if err := b.Remove(strings.TrimPrefix(path, BasePath)); err != nil { // the job is done
		t.Fatal(err)
	}
	head, _ := b.do("creator/c", "HEAD", path, "")
	patch, _ := b.patch("creator/c", path, 5, "")
	for _, response := range []*http.Response{head, patch} {
		if response.StatusCode >= 300 || response.Header.Get("Upload-Offset") != "5" || response.Header.Get(JobHeader) != b.made[0].ID {
			t.Errorf("got %s %v", response.Status, response.Header)
		}
	}
	if response, _ := b.patch("creator/c", path, 0, "x"); response.StatusCode != http.StatusConflict {
		t.Errorf("wrong offset: %s", response.Status)
	}
}

func TestOnlyTheOwnerSeesAnUpload(t *testing.T) {
	b := newBench(t)
	path := b.create(10)
	for as, want := range map[string]int{"anonymous/": 401, "viewer/c": 403, "creator/other": 404} {
		for _, method := range []string{"HEAD", "PATCH", "DELETE", "GET", "POST"} {
			response, _ := b.do(as, method, path, "", "Content-Type: application/offset+octet-stream", "Upload-Offset: 0")
			if response.StatusCode != want {
				t.Errorf("%s as %s: %s, want %d", method, as, response.Status, want)
			}
		}
		response, _ := b.do(as, "POST", path, "", "X-HTTP-Method-Override: DELETE")
		if response.StatusCode != want {
			t.Errorf("override as %s: %s", as, response.Status)
		}
	}
	if response, _ := b.do("creator/c", "GET", path, ""); response.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("download: %s", response.Status)
	}
	if response, _ := b.do("creator/c", "HEAD", BasePath+"none", ""); response.StatusCode != http.StatusNotFound {
		t.Errorf("unknown upload: %s", response.Status)
	}
}

func TestCreateRefusesAndLeavesNothing(t *testing.T) {
	for _, test := range []struct {
		name, as, size, meta string
		status               int
		says                 string
	}{
		{"anonymous", "anonymous/", "5", metadata("v", "f"), 401, "sign in"},
		{"viewer", "viewer/x", "5", metadata("v", "f"), 403, "creators"},
		{"empty file", "creator/c", "0", metadata("v", "f"), 400, "empty"},
		{"over the limit", "creator/c", "1001", metadata("v", "f"), 413, "the limit is 1000"},
		{"no video", "creator/c", "5", metadata("", "f"), 400, "video_id"},
		{"unknown video", "creator/c", "5", metadata("unknown", "f"), 404, "not known"},
		{"silent catalogue", "creator/c", "5", metadata("silent", "f"), 503, "try again"},
		{"video with a path", "creator/c", "5", metadata("../x", "f"), 400, "video_id"},
		{"no file name", "creator/c", "5", metadata("v", ""), 400, "filename"},
		{"no size", "creator/c", "", metadata("v", "f"), 400, "Upload-Length"},
		{"size told later", "creator/c", "", metadata("v", "f"), 400, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := newBench(t)
			headers := []string{test.meta}
			if test.size != "" {
				headers = append(headers, "Upload-Length: "+test.size)
			} else if test.says == "" {
				headers = append(headers, "Upload-Defer-Length: 1")
			}
			response, text := b.do(test.as, "POST", BasePath, "", headers...)
			if test.says != "" && (response.StatusCode != test.status || !strings.Contains(text, test.says)) || response.StatusCode < 400 {
				t.Errorf("got %s %q, want %d %q", response.Status, text, test.status, test.says)
			}
			entries, err := os.ReadDir(b.cfg.Dir)
			rows, err2 := b.store.Receiving(t.Context(), "", 10)
			if err != nil || err2 != nil || len(entries)+len(rows) != 0 {
				t.Errorf("left %v and %v", entries, rows)
			}
		})
	}
}

func TestMissingFFmpegRefusesUploads(t *testing.T) {
	b := newBench(t)
	b.ready = errors.New("ffmpeg is not installed: install it")
	response, text := b.do("creator/c", "POST", BasePath, "", "Upload-Length: 5", metadata("v", "f"))
	if response.StatusCode != http.StatusServiceUnavailable || !strings.Contains(text, "install it") {
		t.Errorf("got %s %q", response.Status, text)
	}
}

func TestUploadsPushBack(t *testing.T) {
	b := newBench(t)
	for range 3 {
		b.create(5)
	}
	response, text := b.do("creator/c", "POST", BasePath, "", "Upload-Length: 5", metadata("v", "f"))
	if response.StatusCode != http.StatusServiceUnavailable || response.Header.Get("Retry-After") == "" || !strings.Contains(text, "unfinished") {
		t.Errorf("got %s %q", response.Status, text)
	}
}

func TestBodyBeyondTheAnnouncedSizeIsRefused(t *testing.T) {
	b := newBench(t)
	path := b.create(5)
	if response, _ := b.patch("creator/c", path, 0, "0123456"); response.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("got %s", response.Status)
	}
	if len(b.made) != 0 {
		t.Error("a job was made")
	}
}

func TestDeletedUploadIsGone(t *testing.T) {
	b := newBench(t)
	path := b.create(5)
	if response, _ := b.do("creator/c", "DELETE", path, ""); response.StatusCode != http.StatusNoContent {
		t.Fatalf("got %s", response.Status)
	}
	response, text := b.patch("creator/c", path, 0, "x")
	if response.StatusCode != http.StatusGone || !strings.Contains(text, "deleted") {
		t.Errorf("got %s %q", response.Status, text)
	}
	if entries, _ := os.ReadDir(b.cfg.Dir); len(entries) != 0 {
		t.Errorf("left %v", entries)
	}
}

func TestRestingUploadExpires(t *testing.T) {
	b := newBench(t)
	path := b.create(5)
	if err := b.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if response, _ := b.do("creator/c", "HEAD", path, ""); response.StatusCode != http.StatusOK {
		t.Fatalf("swept early: %s", response.Status)
	}
	b.now = b.now.Add(2 * time.Hour)
	if err := b.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if response, text := b.patch("creator/c", path, 0, "x"); response.StatusCode != http.StatusGone || !strings.Contains(text, "expired") {
		t.Errorf("got %s %q", response.Status, text)
	}
	if entries, _ := os.ReadDir(b.cfg.Dir); len(entries) != 0 {
		t.Errorf("left %v", entries)
	}
}

// killed leaves what a process does that dies after it noted an upload.
func (b *bench) killed(id string, files map[string]string) {
	b.t.Helper()
	u, err := upload.New(id, "main", "c", map[string]string{upload.MetaVideo: "v", upload.MetaFilename: "f"}, 5, limit, b.now)
	if err == nil {
		err = b.store.CreateUpload(b.t.Context(), u)
	}
	for suffix, text := range files {
		err = errors.Join(err, os.WriteFile(b.Path(id)+suffix, []byte(text), 0o600))
	}
	if err != nil {
		b.t.Fatal(err)
	}
}

func TestRecoverFinishesOrDiscardsWhatWasLeft(t *testing.T) {
	b := newBench(t)
	b.killed("noted", nil)
	b.killed("half-made", map[string]string{"": ""})
	b.killed("partial", map[string]string{"": "012", ".info": "{}"})
	b.killed("whole", map[string]string{"": "01234", ".info": "{}"})
	if err := os.WriteFile(b.Path("stranger"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := b.Recover(t.Context()); err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]upload.State{"noted": upload.Discarded, "half-made": upload.Discarded, "partial": upload.Receiving, "whole": upload.Finished} {
		u, err := b.store.Upload(t.Context(), id)
		if err != nil || u.State != want {
			t.Errorf("%s: %s, %v; want %s", id, u.State, err, want)
		}
	}
	var names []string
	entries, err := os.ReadDir(b.cfg.Dir)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if got := fmt.Sprint(names); err != nil || got != "[partial partial.info whole whole.info]" {
		t.Errorf("files %s, %v", got, err)
	}
	if len(b.made) != 1 {
		t.Errorf("%d jobs", len(b.made))
	}
}

func TestRequestAfterLostAnswerMakesTheJob(t *testing.T) {
	b := newBench(t)
	path := b.create(5)
	id := strings.TrimPrefix(path, BasePath)
	if err := os.WriteFile(b.Path(id), []byte("01234"), 0o600); err != nil {
		t.Fatal(err)
	}
	if response, _ := b.do("creator/c", "HEAD", path, ""); response.Header.Get("Upload-Offset") != "5" {
		t.Errorf("offset %q", response.Header.Get("Upload-Offset"))
	}
	if len(b.made) != 1 {
		t.Errorf("%d jobs", len(b.made))
	}
}

func TestDiscoveryNeedsNobody(t *testing.T) {
	b := newBench(t)
	response, _ := b.do("anonymous/", "OPTIONS", BasePath, "")
	if response.StatusCode != http.StatusOK && response.StatusCode != http.StatusNoContent || response.Header.Get("Tus-Max-Size") != "1000" || strings.Contains(response.Header.Get("Tus-Extension"), "concat") {
		t.Errorf("got %s %v", response.Status, response.Header)
	}
}
