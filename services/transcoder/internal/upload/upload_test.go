package upload

import (
	"errors"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

var t0 = time.UnixMicro(1)

func TestNewChecksWhatIsAnnounced(t *testing.T) {
	long := strings.Repeat("x", 65)
	for _, test := range []struct {
		name, tenant, video, file string
		size                      int64
		want                      error
	}{
		{"good", "main", "0190-ab_C", "my film.mp4", 10, nil},
		{"at the limit", "main", "v", "f", 100, nil},
		{"no video", "main", "", "f", 1, ErrInvalid},
		{"video with a path", "main", "../v", "f", 1, ErrInvalid},
		{"long video", "main", long, "f", 1, ErrInvalid},
		{"tenant with a path", "a/b", "v", "f", 1, ErrInvalid},
		{"no file name", "main", "v", "", 1, ErrInvalid},
		{"file name is a folder", "main", "v", "a/", 1, ErrInvalid},
		{"control character", "main", "v", "a\nb", 1, ErrInvalid},
		{"not UTF-8", "main", "v", "a\xff", 1, ErrInvalid},
		{"long file name", "main", "v", strings.Repeat("x", 256), 1, ErrInvalid},
		{"empty file", "main", "v", "f", 0, ErrInvalid},
		{"over the limit", "main", "v", "f", 101, ErrTooLarge},
	} {
		meta := map[string]string{MetaVideo: test.video, MetaFilename: test.file}
		if _, err := New("u", test.tenant, "c", meta, test.size, 100, t0); !errors.Is(err, test.want) {
			t.Errorf("%s: got %v, want %v", test.name, err, test.want)
		}
	}
}

func TestNewDropsFolders(t *testing.T) {
	for _, name := range []string{"/etc/film.mp4", `C:\fakepath\film.mp4`} {
		u, err := New("u", "main", "c", map[string]string{MetaVideo: "v", MetaFilename: name}, 1, 1, t0)
		if err != nil || u.Filename != "film.mp4" {
			t.Errorf("%s: got %q, %v", name, u.Filename, err)
		}
	}
}

func TestOnlyAReceivingUploadFinishes(t *testing.T) {
	u := Upload{State: Receiving}
	if err := u.Finish("j", t0); err != nil || u.State != Finished || u.JobID != "j" {
		t.Errorf("got %+v, %v", u, err)
	}
	if err := u.Finish("k", t0); !errors.Is(err, ErrTransition) || u.JobID != "j" {
		t.Errorf("finished twice: %+v, %v", u, err)
	}
	u.Discard("a", t0)
	u.Discard("b", t0)
	if u.State != Discarded || u.Problem != "a" {
		t.Errorf("got %+v", u)
	}
}

func FuzzNew(f *testing.F) {
	f.Add("main", "v", "f.mp4")
	f.Add("..", "a/b", "x\x00")
	f.Fuzz(func(t *testing.T, tenant, video, file string) {
		u, err := New("u", tenant, "c", map[string]string{MetaVideo: video, MetaFilename: file}, 1, 1, t0)
		if err == nil && (strings.ContainsAny(u.VideoID+u.TenantID+u.Filename, "/\\\x00") || u.TenantID == ".." || !utf8.ValidString(u.Filename)) {
			t.Errorf("accepted %+v", u)
		}
	})
}
