// Package publish puts a verified presentation into a bucket such that a
// viewer never sees a part of it: the multivariant playlist, by which all of
// it is found, is written last and removed first.
package publish

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"

	"gocloud.dev/blob"
	"golang.org/x/sync/errgroup"

	"github.com/backlot-video/backlot/kit/crashpoint"
	"github.com/backlot-video/backlot/services/transcoder/internal/hls"
)

var (
	beforeMaster = crashpoint.New("transcoder/master-published/before")
	afterMaster  = crashpoint.New("transcoder/master-published/after")
)

// parallel is how many objects are written at once.
const parallel = 4

// Types of the files of a presentation; others are not published.
var contentTypes = map[string]string{
	".m3u8": "application/vnd.apple.mpegurl",
	".m4s":  "video/iso.segment",
	".mp4":  "video/mp4",
}

// Folder writes the presentation in dir under prefix, which ends with a slash.
// Each file is made durable on the local disk before the first object is
// written. written is told how many of all bytes are in the bucket; it may be
// nil. After an error, or a crash, Remove takes away what is there.
func Folder(ctx context.Context, bucket *blob.Bucket, dir, prefix string, written func(done, total int64)) error {
	files, total, err := list(dir)
	if err != nil {
		return err
	}
	if err := syncAll(dir, files); err != nil {
		return err
	}
	var done atomic.Int64
	put := func(ctx context.Context, f file) error {
		if err := object(ctx, bucket, filepath.Join(dir, filepath.FromSlash(f.name)), prefix+f.name); err != nil {
			return fmt.Errorf("publish %s: %w", f.name, err)
		}
		if n := done.Add(f.size); written != nil {
			written(n, total)
		}
		return nil
	}
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for _, f := range files {
		if f.name != hls.MasterName {
			group.Go(func() error { return put(groupCtx, f) })
		}
	}
	if err := group.Wait(); err != nil {
		return err
	}
	master := slices.IndexFunc(files, func(f file) bool { return f.name == hls.MasterName })
	if master < 0 {
		return fmt.Errorf("publish %s: %w", hls.MasterName, fs.ErrNotExist)
	}
	beforeMaster.Hit()
	if err := put(ctx, files[master]); err != nil {
		return err
	}
	afterMaster.Hit()
	return nil
}

// Remove deletes all objects under prefix and returns how many there were.
func Remove(ctx context.Context, bucket *blob.Bucket, prefix string) (int, error) {
	if prefix == "" || !strings.HasSuffix(prefix, "/") {
		return 0, fmt.Errorf("remove: %q is not a folder", prefix)
	}
	removed := 0
	if err := bucket.Delete(ctx, prefix+hls.MasterName); err == nil {
		removed++
	}
	objects := bucket.List(&blob.ListOptions{Prefix: prefix})
	for {
		object, err := objects.Next(ctx)
		if errors.Is(err, io.EOF) {
			return removed, nil
		}
		if err != nil {
			return removed, fmt.Errorf("list %s: %w", prefix, err)
		}
		if err := bucket.Delete(ctx, object.Key); err != nil {
			return removed, fmt.Errorf("remove %s: %w", object.Key, err)
		}
		removed++
	}
}

type file struct {
	name string // with slashes, relative
	size int64
}

func list(dir string) (files []file, total int64, err error) {
	err = filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || contentTypes[path.Ext(entry.Name())] == "" {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(dir, name)
		if err != nil {
			return err
		}
		files = append(files, file{filepath.ToSlash(relative), info.Size()})
		total += info.Size()
		return nil
	})
	return files, total, err
}

func syncAll(dir string, files []file) error {
	for _, f := range files {
		h, err := os.OpenFile(filepath.Join(dir, filepath.FromSlash(f.name)), os.O_RDWR, 0)
		if err != nil {
			return err
		}
		if err := errors.Join(h.Sync(), h.Close()); err != nil {
			return fmt.Errorf("make %s durable: %w", f.name, err)
		}
	}
	return nil
}

func object(ctx context.Context, bucket *blob.Bucket, from, key string) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	return bucket.Upload(ctx, key, source, &blob.WriterOptions{ContentType: contentTypes[path.Ext(key)]})
}
