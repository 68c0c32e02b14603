package demo

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"connectrpc.com/connect"

	storefrontv1 "github.com/backlot-video/backlot/proto/gen/backlot/storefront/v1"
	transcoderv1alpha1 "github.com/backlot-video/backlot/proto/gen/backlot/transcoder/v1alpha1"
)

// chunkBytes is how much one PATCH carries: what a cut connection repeats
// at most.
const chunkBytes = 4 << 20

// upload sends a file by the tus protocol and returns the upload's id.
func (s *session) upload(ctx context.Context, path, videoID string, progress func(sent, total int64)) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil {
		return "", err
	}
	location, err := s.createUpload(ctx, info.Size(), map[string]string{"filename": filepath.Base(path), "video_id": videoID})
	if err != nil {
		return "", err
	}
	for offset := int64(0); offset < info.Size(); {
		part := io.NewSectionReader(file, offset, min(chunkBytes, info.Size()-offset))
		next, err := s.patch(ctx, location, offset, part)
		if err != nil {
			if offset, err = s.resume(ctx, location, err); err != nil {
				return "", err
			}
			continue
		}
		offset = next
		progress(offset, info.Size())
	}
	return location[strings.LastIndexByte(location, '/')+1:], nil
}

func (s *session) createUpload(ctx context.Context, size int64, metadata map[string]string) (location string, err error) {
	var pairs []string
	for key, value := range metadata {
		pairs = append(pairs, key+" "+base64.StdEncoding.EncodeToString([]byte(value)))
	}
	answer, err := s.tus(ctx, http.MethodPost, s.gateway+"/uploads/", nil, map[string]string{
		"Upload-Length": strconv.FormatInt(size, 10), "Upload-Metadata": strings.Join(pairs, ","),
	})
	if err != nil {
		return "", fmt.Errorf("create upload: %w", err)
	}
	location = answer.Get("Location")
	if location == "" {
		return "", errors.New("create upload: the answer has no Location")
	}
	if strings.HasPrefix(location, "/") {
		location = s.gateway + location
	}
	return location, nil
}

func (s *session) patch(ctx context.Context, location string, offset int64, part io.Reader) (int64, error) {
	answer, err := s.tus(ctx, http.MethodPatch, location, part, map[string]string{
		"Upload-Offset": strconv.FormatInt(offset, 10), "Content-Type": "application/offset+octet-stream",
	})
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(answer.Get("Upload-Offset"), 10, 64)
}

// resume asks how much has arrived after a failed part.
func (s *session) resume(ctx context.Context, location string, cause error) (int64, error) {
	var refused *refusedError
	if errors.As(cause, &refused) && refused.status < http.StatusInternalServerError && refused.status != http.StatusConflict {
		return 0, cause
	}
	var offset int64
	err := eventually(ctx, "resume upload", func() (bool, error) {
		answer, err := s.tus(ctx, http.MethodHead, location, nil, nil)
		if err != nil {
			return false, nil //nolint:nilerr // the service may be starting again
		}
		offset, err = strconv.ParseInt(answer.Get("Upload-Offset"), 10, 64)
		return err == nil, err
	})
	return offset, err
}

// refusedError is an answer that is no success.
type refusedError struct {
	status int
	text   string
}

func (e *refusedError) Error() string { return fmt.Sprintf("%d: %s", e.status, e.text) }

// tus sends one request of the protocol and returns the answer's header.
func (s *session) tus(ctx context.Context, method, address string, body io.Reader, header map[string]string) (http.Header, error) {
	request, err := http.NewRequestWithContext(ctx, method, address, body)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Tus-Resumable", "1.0.0")
	for key, value := range header {
		request.Header.Set(key, value)
	}
	if part, sized := body.(*io.SectionReader); sized {
		request.ContentLength = part.Size()
	}
	response, err := s.http.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(response.Body, 4096))
	if err != nil {
		return nil, err
	}
	if response.StatusCode/100 != 2 {
		return nil, &refusedError{response.StatusCode, strings.TrimSpace(string(text))}
	}
	return response.Header, nil
}

// transcoded waits until a video's newest job has ended and storefront
// knows of it.
func (s *session) transcoded(ctx context.Context, videoID, uploadID string, progress func(*transcoderv1alpha1.Job)) (*storefrontv1.Video, error) {
	var jobID string
	err := eventually(ctx, "job of the upload", func() (bool, error) {
		response, err := s.transcoder.GetUpload(ctx, &transcoderv1alpha1.GetUploadRequest{UploadId: uploadID})
		jobID = response.GetUpload().GetJobId()
		return jobID != "", retryable(err)
	})
	if err != nil {
		return nil, err
	}
	job, err := s.watchJob(ctx, jobID, progress)
	if err != nil {
		return nil, err
	}
	if job.GetState() != transcoderv1alpha1.JobState_JOB_STATE_SUCCEEDED {
		return nil, fmt.Errorf("the file was refused: %s", job.GetProblem())
	}
	var video *storefrontv1.Video
	err = eventually(ctx, "video to be ready", func() (bool, error) {
		response, err := s.catalogue.GetVideo(ctx, &storefrontv1.GetVideoRequest{VideoId: videoID})
		video = response.GetVideo()
		return video.GetState() >= storefrontv1.VideoState_VIDEO_STATE_READY, retryable(err)
	})
	return video, err
}

// watchJob follows a job to its end, over cut streams too.
func (s *session) watchJob(ctx context.Context, id string, progress func(*transcoderv1alpha1.Job)) (*transcoderv1alpha1.Job, error) {
	var last *transcoderv1alpha1.Job
	for {
		stream, err := s.transcoder.WatchJob(ctx, &transcoderv1alpha1.WatchJobRequest{JobId: id})
		if err == nil {
			for stream.Receive() {
				last = stream.Msg().GetJob()
				progress(last)
			}
			err = errors.Join(stream.Err(), stream.Close())
		}
		if last.GetState() >= transcoderv1alpha1.JobState_JOB_STATE_SUCCEEDED {
			return last, nil
		}
		if retryable(err) != nil {
			return nil, fmt.Errorf("watch job: %w", err)
		}
		timer := time.NewTimer(200 * time.Millisecond)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, ctx.Err()
		}
	}
}

// retryable drops errors that a service gives while it starts or stops.
func retryable(err error) error {
	switch connect.CodeOf(err) {
	case connect.CodeUnavailable, connect.CodeDeadlineExceeded, connect.CodeAborted, connect.CodeUnknown:
		return nil
	default:
		return err
	}
}
