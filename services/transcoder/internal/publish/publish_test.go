package publish

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gocloud.dev/blob"
	"gocloud.dev/blob/fileblob"
	"gocloud.dev/blob/memblob"

	"github.com/backlot-video/backlot/services/transcoder/internal/hls"
)

func folder(t *testing.T, names ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range names {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func keys(t *testing.T, bucket *blob.Bucket) string {
	t.Helper()
	var found []string
	objects := bucket.List(nil)
	for {
		object, err := objects.Next(context.Background())
		if err != nil {
			slices.Sort(found)
			return strings.Join(found, " ")
		}
		found = append(found, object.Key)
	}
}

func TestFolderWritesTheMasterLast(t *testing.T) {
	bucket := memblob.OpenBucket(nil)
	dir := folder(t, "master.m3u8", "a/init.mp4", "a/seg-00001.m4s", "a/index.m3u8", "manifest.mpd")
	last := int64(0)
	err := Place{Bucket: bucket}.Folder(t.Context(), dir, "t/v/j/", func(done, total int64) {
		if there, _ := bucket.Exists(t.Context(), "t/v/j/"+hls.MasterName); there != (done == total) {
			t.Errorf("master is there: %t, after %d of %d bytes", there, done, total)
		}
		last = max(last, done)
	})
	if err != nil || last == 0 {
		t.Fatalf("%d bytes, %v", last, err)
	}
	if got, want := keys(t, bucket), "t/v/j/a/index.m3u8 t/v/j/a/init.mp4 t/v/j/a/seg-00001.m4s t/v/j/master.m3u8"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	attributes, err := bucket.Attributes(t.Context(), "t/v/j/master.m3u8")
	if err != nil || attributes.ContentType != "application/vnd.apple.mpegurl" {
		t.Errorf("got %+v, %v", attributes, err)
	}
}

func TestFolderWithoutMasterIsAnError(t *testing.T) {
	err := Place{Bucket: memblob.OpenBucket(nil)}.Folder(t.Context(), folder(t, "a/init.mp4"), "j/", nil)
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

func TestFolderStopsWithItsContext(t *testing.T) {
	bucket := memblob.OpenBucket(nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := (Place{Bucket: bucket}).Folder(ctx, folder(t, "master.m3u8", "a/init.mp4"), "j/", nil); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if there, _ := bucket.Exists(t.Context(), "j/"+hls.MasterName); there {
		t.Error("the master was written")
	}
}

func TestRemoveTakesOnlyItsFolder(t *testing.T) {
	bucket := memblob.OpenBucket(nil)
	for _, key := range []string{"t/v/j/master.m3u8", "t/v/j/a/x", "t/v/j2/master.m3u8", "t/v/j"} {
		if err := bucket.WriteAll(t.Context(), key, nil, nil); err != nil {
			t.Fatal(err)
		}
	}
	n, err := Place{Bucket: bucket}.Remove(t.Context(), "t/v/j/")
	if got, want := keys(t, bucket), "t/v/j t/v/j2/master.m3u8"; err != nil || n != 2 || got != want {
		t.Errorf("removed %d, left %s, %v", n, got, err)
	}
	for _, prefix := range []string{"", "t/v/j"} {
		if _, err := (Place{Bucket: bucket}).Remove(t.Context(), prefix); err == nil {
			t.Errorf("removed %q", prefix)
		}
	}
}

func TestLocalBucketIsLeftWithoutEmptyFolders(t *testing.T) {
	dir := t.TempDir()
	bucket, err := fileblob.OpenBucket(dir, &fileblob.Options{Metadata: fileblob.MetadataDontWrite, NoTempDir: true})
	if err != nil {
		t.Fatal(err)
	}
	defer bucket.Close()
	p := Place{Bucket: bucket, Dir: dir}
	if err := p.Folder(t.Context(), folder(t, "master.m3u8", "a/init.mp4"), "t/v/j/", nil); err != nil {
		t.Fatal(err)
	}
	if got, want := keys(t, bucket), "t/v/j/a/init.mp4 t/v/j/master.m3u8"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if n, err := p.Remove(t.Context(), "t/v/j/"); err != nil || n != 2 {
		t.Errorf("removed %d, %v", n, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "t", "v", "j")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}
