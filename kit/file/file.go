// Package file writes files so that a crash leaves the whole of one
// or nothing of it. They are private to their owner (mode 0600).
package file

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// Replace puts content at path, in place of what was there. When it
// returns nil the content is on disk.
func Replace(path string, content []byte) error {
	return ReplaceBy(path, func(w io.Writer) error {
		_, err := w.Write(content)
		return err
	})
}

// ReplaceBy is Replace of what content writes.
func ReplaceBy(path string, content func(w io.Writer) error) error {
	return write(path, content, os.Rename)
}

// Once returns the content of the file at path, which it makes where there
// is none. Of several processes that make it at once, the first wins and
// all get its content.
func Once(path string, first func() []byte) ([]byte, error) {
	content, err := os.ReadFile(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return content, err
	}
	err = write(path, func(w io.Writer) error {
		_, err := w.Write(first())
		return err
	}, func(temporary, path string) error {
		err := os.Link(temporary, path)
		if errors.Is(err, fs.ErrExist) {
			err = nil
		}
		return errors.Join(err, os.Remove(temporary))
	})
	if err != nil {
		return nil, err
	}
	return os.ReadFile(path)
}

// write makes a temporary file beside path and gives it its place.
func write(path string, content func(w io.Writer) error, place func(temporary, path string) error) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	temporary, err := os.CreateTemp(dir, ".new-*")
	if err != nil {
		return err
	}
	err = errors.Join(content(temporary), temporary.Sync(), temporary.Close())
	if err == nil {
		err = place(temporary.Name(), path)
	}
	if err != nil {
		if gone := os.Remove(temporary.Name()); gone != nil && !errors.Is(gone, fs.ErrNotExist) {
			err = errors.Join(err, gone)
		}
		return err
	}
	return syncDir(dir)
}

// syncDir makes a new name durable. Windows has no such call and needs
// none.
func syncDir(path string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
