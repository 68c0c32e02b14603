// Package upload is the life of one uploaded file: receiving, then finished or
// discarded. It is pure; bytes are received by package intake.
package upload

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// State is where an upload is. Numbers are stored: never change them.
type State int

// The states.
const (
	Receiving State = 1
	Finished  State = 2
	Discarded State = 3 // its bytes are gone or about to go
)

func (s State) String() string {
	names := [...]string{"", "receiving", "finished", "discarded"}
	if s < Receiving || s > Discarded {
		return fmt.Sprintf("state(%d)", int(s))
	}
	return names[s]
}

// What an upload may be refused for.
var (
	ErrInvalid    = errors.New("upload is not valid")
	ErrTooLarge   = errors.New("upload is too large")
	ErrTransition = errors.New("upload is not in a state for that")
)

// Names of metadata.
const (
	MetaVideo    = "video_id"
	MetaFilename = "filename"
)

const (
	maxID       = 64  // bytes
	maxFilename = 255 // bytes
)

// Upload is a file that a creator sends for a video.
type Upload struct {
	ID, TenantID, VideoID, CreatorID string

	Filename string // as the creator named it, without folders
	Size     int64  // bytes, as announced
	State    State
	Problem  string // why it was discarded, for people
	JobID    string // of the job made of it, once finished
	Created  time.Time
	Updated  time.Time
}

// New checks what a client announces. limit is in bytes.
func New(id, tenant, creator string, meta map[string]string, size, limit int64, now time.Time) (Upload, error) {
	u := Upload{
		ID: id, TenantID: tenant, CreatorID: creator, VideoID: meta[MetaVideo],
		Size: size, State: Receiving, Created: now, Updated: now,
	}
	switch {
	case !plainID(tenant):
		return u, fmt.Errorf("%w: the tenant's id cannot name a folder", ErrInvalid)
	case u.VideoID == "":
		return u, fmt.Errorf("%w: metadata %s is missing", ErrInvalid, MetaVideo)
	case !plainID(u.VideoID):
		return u, fmt.Errorf("%w: metadata %s must be 1 to %d letters, digits, '-' or '_'", ErrInvalid, MetaVideo, maxID)
	case size <= 0:
		return u, fmt.Errorf("%w: the file is empty", ErrInvalid)
	case size > limit:
		return u, fmt.Errorf("%w: %d bytes, the limit is %d", ErrTooLarge, size, limit)
	}
	name, err := filename(meta[MetaFilename])
	u.Filename = name
	return u, err
}

// plainID tells whether text can be one part of a path anywhere.
func plainID(text string) bool {
	if text == "" || len(text) > maxID {
		return false
	}
	for _, c := range text {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

// filename drops folders, which some browsers send.
func filename(text string) (string, error) {
	text = text[strings.LastIndexAny(text, `/\`)+1:]
	bad := func(r rune) bool { return r == utf8.RuneError || unicode.IsControl(r) }
	if text == "" || len(text) > maxFilename || strings.ContainsFunc(text, bad) {
		return "", fmt.Errorf("%w: metadata %s must be 1 to %d bytes of text", ErrInvalid, MetaFilename, maxFilename)
	}
	return text, nil
}

// Finish notes that all bytes are there and which job is made of them.
func (u *Upload) Finish(jobID string, now time.Time) error {
	if u.State != Receiving {
		return fmt.Errorf("%w: %s", ErrTransition, u.State)
	}
	u.State, u.JobID, u.Updated = Finished, jobID, now
	return nil
}

// Discard gives the upload's bytes up. Discarding twice changes nothing.
func (u *Upload) Discard(problem string, now time.Time) {
	if u.State != Discarded {
		u.State, u.Problem, u.Updated = Discarded, problem, now
	}
}
