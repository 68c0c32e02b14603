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
	"runtime"
	"slices"
	"strings"
	"sync"

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

// Place is where presentations are published.
type Place struct {
	Bucket *blob.Bucket
	// Dir is the bucket's folder if it lies on a disk of this machine, else
	// empty. Other buckets make objects durable as they are written.
	Dir string
}

// Folder writes the presentation in dir under prefix, which ends with a slash,
// and makes it durable. written is told, one call at a time, how many of all
// bytes are in the bucket; it may be nil. After an error, or a crash, Remove takes away what is
// there.
func (p Place) Folder(ctx context.Context, dir, prefix string, written func(done, total int64)) error {
	files, total, err := list(dir)
	if err != nil {
		return err
	}
	bucket := p.Bucket
	var mu sync.Mutex // guards done, and calls of written
	var done int64
	put := func(ctx context.Context, f file) error {
		if err := object(ctx, bucket, filepath.Join(dir, filepath.FromSlash(f.name)), prefix+f.name); err != nil {
			return fmt.Errorf("publish %s: %w", f.name, err)
		}
		mu.Lock()
		defer mu.Unlock()
		if done += f.size; written != nil {
			written(done, total)
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
	return p.sync(prefix, files)
}

// Remove deletes all objects under prefix, which ends with a slash, and the
// master first. It returns how many there were.
func (p Place) Remove(ctx context.Context, prefix string) (int, error) {
	if prefix == "" || !strings.HasSuffix(prefix, "/") {
		return 0, fmt.Errorf("remove: %q is not a folder", prefix)
	}
	removed, bucket := 0, p.Bucket
	if err := bucket.Delete(ctx, prefix+hls.MasterName); err == nil {
		removed++
	}
	objects := bucket.List(&blob.ListOptions{Prefix: prefix})
	for {
		object, err := objects.Next(ctx)
		if errors.Is(err, io.EOF) {
			return removed, p.removeFolder(prefix)
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

// sync makes published files and the names of their folders durable.
func (p Place) sync(prefix string, files []file) error {
	if p.Dir == "" {
		return nil
	}
	root := filepath.Join(p.Dir, filepath.FromSlash(prefix))
	folders := map[string]bool{p.Dir: true}
	for _, f := range files {
		name := filepath.Join(root, filepath.FromSlash(f.name))
		if err := syncPath(name, os.O_RDWR); err != nil {
			return err
		}
		for folder := filepath.Dir(name); len(folder) > len(p.Dir); folder = filepath.Dir(folder) {
			folders[folder] = true
		}
	}
	for folder := range folders {
		if err := syncPath(folder, os.O_RDONLY); err != nil && runtime.GOOS != "windows" {
			return err
		}
	}
	return nil
}

func syncPath(name string, mode int) error {
	f, err := os.OpenFile(name, mode, 0)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("make %s durable: %w", name, err)
	}
	return nil
}

// removeFolder deletes what is left without objects: empty folders and the
// temporary files of a killed writer.
func (p Place) removeFolder(prefix string) error {
	if p.Dir == "" {
		return nil
	}
	return os.RemoveAll(filepath.Join(p.Dir, filepath.FromSlash(prefix)))
}

func object(ctx context.Context, bucket *blob.Bucket, from, key string) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	return bucket.Upload(ctx, key, source, &blob.WriterOptions{ContentType: contentTypes[path.Ext(key)]})
}
