//go:build crashpoint && unix

package service

import (
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/backlot-video/backlot/kit/crashpoint"
	transcoderv1 "github.com/backlot-video/backlot/proto/gen/backlot/transcoder/v1alpha1"
	"github.com/backlot-video/backlot/services/transcoder/internal/cliptest"
	"github.com/backlot-video/backlot/services/transcoder/internal/eventually"
	"github.com/backlot-video/backlot/services/transcoder/internal/intake"
)

// send does what a tus client does: create, ask for the offset, send the rest.
// It returns an error where the server dies.
func (a *alone) send(location *string, data []byte) error {
	do := func(method, path, body string, headers map[string]string) (*http.Response, error) {
		request, err := http.NewRequestWithContext(a.t.Context(), method, "http://transcoder"+path, strings.NewReader(body))
		if err != nil {
			return nil, err
		}
		request.Header.Set("Tus-Resumable", "1.0.0")
		for name, value := range headers {
			request.Header.Set(name, value)
		}
		response, err := (&http.Client{Transport: a}).Do(request)
		if err == nil {
			_, _ = io.Copy(io.Discard, response.Body)
			response.Body.Close()
		}
		return response, err
	}
	if *location == "" {
		video := base64.StdEncoding.EncodeToString([]byte("v1"))
		response, err := do("POST", intake.BasePath, "", map[string]string{
			"Upload-Length": strconv.Itoa(len(data)), "Upload-Metadata": "video_id " + video + ",filename " + video,
		})
		if err != nil {
			return err
		}
		*location = response.Header.Get("Location")
	}
	response, err := do("HEAD", *location, "", nil)
	if err != nil {
		return err
	}
	offset, err := strconv.Atoi(response.Header.Get("Upload-Offset"))
	if err != nil {
		a.t.Fatalf("offset of %s: %s, %v", *location, response.Status, err)
	}
	response, err = do("PATCH", *location, string(data[offset:]), map[string]string{
		"Content-Type": "application/offset+octet-stream", "Upload-Offset": strconv.Itoa(offset),
	})
	if err == nil && response.StatusCode != http.StatusNoContent {
		err = errors.New(response.Status)
	}
	return err
}

// TestDeathAtEachPointLosesNothing kills the service at each point in turn,
// starts it again, and goes on as a client would.
func TestDeathAtEachPointLosesNothing(t *testing.T) {
	clip, err := os.ReadFile(cliptest.Make(t, "in.mp4", cliptest.Short))
	if err != nil {
		t.Fatal(err)
	}
	for _, point := range crashpoint.Names() {
		if strings.HasPrefix(point, "transcoder/") {
			t.Run(point, func(t *testing.T) { dieAt(t, point, clip) })
		}
	}
}

func dieAt(t *testing.T, point string, clip []byte) {
	data := t.TempDir()
	a, cmd := spawn(t, data, point)
	location := ""
	if err := a.send(&location, clip); err != nil {
		t.Logf("client saw %v", err)
	}
	died := make(chan error, 1)
	go func() { died <- cmd.Wait() }()
	select {
	case <-died:
	case <-time.After(time.Minute):
		t.Fatal("the point was not hit")
	}
	a, _ = spawn(t, data, "")
	if err := a.send(&location, clip); err != nil {
		t.Fatal(err)
	}
	succeeded := a.awaitJobs()
	master := filepath.Join(data, "blob", "media", filepath.FromSlash(succeeded.GetOutputPrefix()), "master.m3u8")
	if _, err := os.Stat(master); err != nil {
		t.Error(err)
	}
	a.nothingElse(succeeded)
}

// awaitJobs waits until all jobs have succeeded, and returns the only one.
func (a *alone) awaitJobs() *transcoderv1.Job {
	a.t.Helper()
	var all []*transcoderv1.Job
	eventually.True(a.t, "one job, and it succeeded", func() bool {
		list, err := a.rpc().ListJobs(a.t.Context(), &transcoderv1.ListJobsRequest{})
		if err != nil {
			a.t.Fatal(err)
		}
		all = list.GetJobs()
		return len(all) == 1 && all[0].GetState() == transcoderv1.JobState_JOB_STATE_SUCCEEDED
	})
	return all[0]
}

// nothingElse waits until nothing is left but the output of a job.
func (a *alone) nothingElse(j *transcoderv1.Job) {
	a.t.Helper()
	left := func() []string {
		var all []string
		for _, pattern := range []string{"transcoder/uploads/*", "transcoder/runtime/*/*", "blob/media/main/v1/*"} {
			found, err := filepath.Glob(filepath.Join(a.data, pattern))
			if err != nil {
				a.t.Fatal(err)
			}
			for _, name := range found {
				if filepath.Base(name) != j.GetId() {
					all = append(all, name)
				}
			}
		}
		return all
	}
	eventually.True(a.t, "nothing else is left", func() bool { return len(left()) == 0 })
}
