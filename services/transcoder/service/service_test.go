package service

import (
	"bytes"
	"context"
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"connectrpc.com/connect"

	"github.com/backlot-video/backlot/kit/config"
	"github.com/backlot-video/backlot/kit/identity"
	"github.com/backlot-video/backlot/kit/lifecycle"
	transcoderv1 "github.com/backlot-video/backlot/proto/gen/backlot/transcoder/v1alpha1"
	"github.com/backlot-video/backlot/proto/gen/backlot/transcoder/v1alpha1/transcoderv1alpha1connect"
	"github.com/backlot-video/backlot/services/transcoder/internal/cliptest"
	"github.com/backlot-video/backlot/services/transcoder/internal/eventually"
	"github.com/backlot-video/backlot/services/transcoder/internal/intake"
)

// TestMain lets the test binary play the service, for tests that kill it.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "serve" {
		lifecycle.Execute("transcoder", os.Args[2:], New())
		return
	}
	m.Run()
}

func TestDefaultsAreValidAndFaultsAreReportedTogether(t *testing.T) {
	s := New()
	set := config.New("test")
	s.RegisterFlags(set.Sub(s.Name()))
	if _, err := set.Parse(nil, nil); err != nil {
		t.Fatal(err)
	}
	if err := s.Validate(); err != nil {
		t.Errorf("defaults: %v", err)
	}
	s.config.Workers, s.config.Nice, s.config.MaxUpload = 0, 20, 0
	err := s.Validate()
	for _, field := range []string{"transcoder.workers", "transcoder.nice", "transcoder.max-upload"} {
		if err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%v does not name %s", err, field)
		}
	}
}

func TestNodeIDStays(t *testing.T) {
	dir := t.TempDir()
	first, err := nodeID(dir)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := nodeID(dir); err != nil || again != first {
		t.Errorf("got %s, %v; want %s", again, err, first)
	}
	if err := os.WriteFile(filepath.Join(dir, "node"), []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := nodeID(dir); err == nil {
		t.Error("nonsense was taken for a node")
	}
}

// alone is a transcoder in a process of its own, as its binary runs it.
type alone struct {
	t      *testing.T
	data   string
	socket string
	keys   *identity.Keys
	stop   context.CancelFunc
	ended  chan error
}

func start(t *testing.T, data string, flags ...string) *alone {
	t.Helper()
	// A socket's path must be short.
	run, err := os.MkdirTemp("", "tc")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(run) })
	a := &alone{t: t, data: data, socket: filepath.Join(run, "s"), ended: make(chan error, 1)}
	ctx, cancel := context.WithCancel(context.Background())
	a.stop = cancel
	go func() {
		a.ended <- lifecycle.Run(ctx, "transcoder", append(a.flags(), flags...), nil, io.Discard, New())
	}()
	t.Cleanup(a.end)
	a.awaitListening()
	return a
}

func (a *alone) flags() []string {
	return []string{
		"--data-dir", a.data, "--ops-listen", "", "--log-level", "error",
		"--transcoder.rpc-listen", "unix:" + a.socket, "--transcoder.kitex-listen", "", "--transcoder.catalogue", "",
	}
}

func (a *alone) awaitListening() {
	t := a.t
	t.Helper()
	eventually.True(t, "the service listens", func() bool {
		select {
		case err := <-a.ended:
			t.Fatalf("ended at start: %v", err)
		default:
		}
		conn, err := net.Dial("unix", a.socket)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	var err error
	if a.keys, err = identity.OpenKeys(filepath.Join(a.data, "cluster.key"), nil); err != nil {
		t.Fatal(err)
	}
}

// end stops the process; a second call does nothing.
func (a *alone) end() {
	if a.stop == nil {
		return
	}
	a.stop()
	a.stop = nil
	if err := <-a.ended; err != nil {
		a.t.Errorf("ended with %v", err)
	}
}

// RoundTrip goes to the process as creator c.
func (a *alone) RoundTrip(r *http.Request) (*http.Response, error) {
	token, err := a.keys.Sign(identity.Principal{Kind: identity.Creator, ID: "c", TenantID: "main"})
	if err != nil {
		return nil, err
	}
	r.Header.Set(identity.Header, token)
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", a.socket)
	}}
	return transport.RoundTrip(r)
}

func (a *alone) rpc() transcoderv1alpha1connect.TranscoderServiceClient {
	return transcoderv1alpha1connect.NewTranscoderServiceClient(&http.Client{Transport: a}, "http://transcoder")
}

// upload sends a file in two parts and returns the id of its job.
func (a *alone) upload(path string) string {
	a.t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		a.t.Fatal(err)
	}
	encode := base64.StdEncoding.EncodeToString
	response := a.tus("POST", intake.BasePath, nil, map[string]string{
		"Upload-Length":   strconv.Itoa(len(data)),
		"Upload-Metadata": "video_id " + encode([]byte("v1")) + ",filename " + encode([]byte("film.mp4")),
	})
	location := response.Header.Get("Location")
	if response.StatusCode != http.StatusCreated || location == "" {
		a.t.Fatalf("create upload: %s", response.Status)
	}
	half := len(data) / 2
	a.patch(location, 0, data[:half])
	return a.patch(location, half, data[half:]).Header.Get(intake.JobHeader)
}

func (a *alone) patch(location string, offset int, part []byte) *http.Response {
	a.t.Helper()
	response := a.tus("PATCH", location, part, map[string]string{
		"Content-Type": "application/offset+octet-stream", "Upload-Offset": strconv.Itoa(offset),
	})
	if response.StatusCode != http.StatusNoContent {
		a.t.Fatalf("patch: %s", response.Status)
	}
	return response
}

func (a *alone) tus(method, path string, body []byte, headers map[string]string) *http.Response {
	a.t.Helper()
	request, err := http.NewRequestWithContext(a.t.Context(), method, "http://transcoder"+path, bytes.NewReader(body))
	if err != nil {
		a.t.Fatal(err)
	}
	request.Header.Set("Tus-Resumable", "1.0.0")
	for name, value := range headers {
		request.Header.Set(name, value)
	}
	response, err := (&http.Client{Transport: a}).Do(request)
	if err != nil {
		a.t.Fatal(err)
	}
	response.Body.Close()
	return response
}

func TestUploadBecomesAPresentationAndSurvivesARestart(t *testing.T) {
	data := t.TempDir()
	a := start(t, data)
	id := a.upload(cliptest.Make(t, "in.mp4", cliptest.Short))
	// The stop comes while the job is queued or runs.
	a.end()
	a = start(t, data)
	stream, err := a.rpc().WatchJob(t.Context(), &transcoderv1.WatchJobRequest{JobId: id})
	if err != nil {
		t.Fatal(err)
	}
	var last *transcoderv1.Job
	for stream.Receive() {
		last = stream.Msg().GetJob()
	}
	if err := stream.Err(); err != nil || last.GetState() != transcoderv1.JobState_JOB_STATE_SUCCEEDED || last.GetProgressPpm() != 1_000_000 {
		t.Fatalf("got %v, %v", last, err)
	}
	master, err := os.ReadFile(filepath.Join(data, "blob", "media", filepath.FromSlash(last.GetOutputPrefix()), "master.m3u8"))
	if err != nil || !strings.Contains(string(master), "RESOLUTION=320x180") {
		t.Errorf("got %s, %v", master, err)
	}
	list, err := a.rpc().ListJobs(t.Context(), &transcoderv1.ListJobsRequest{VideoId: "v1"})
	if err != nil || len(list.GetJobs()) != 1 || list.GetJobs()[0].GetRenditions()[0].GetName() != "180p" {
		t.Errorf("got %v, %v", list, err)
	}
	_, err = a.rpc().GetJob(t.Context(), &transcoderv1.GetJobRequest{JobId: "none"})
	if connect.CodeOf(err) != connect.CodeNotFound {
		t.Errorf("got %v", err)
	}
}

func TestServiceStartsWithoutFFmpegAndSaysSo(t *testing.T) {
	a := start(t, t.TempDir(), "--transcoder.ffmpeg", "/nonexistent/ffmpeg")
	response := a.tus("POST", intake.BasePath, nil, map[string]string{"Upload-Length": "5", "Upload-Metadata": "video_id dg==,filename Zg=="})
	if response.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("got %s", response.Status)
	}
}
