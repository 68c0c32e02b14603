package accesslog

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// stdout is the path that stands for standard output.
const stdout = "-"

// file is the current one. It belongs to one goroutine.
type file struct {
	path string
	max  int64
	keep int
	to   *os.File
	size int64
}

func openFile(path string, most int64, keep int) (*file, error) {
	f := &file{path: path, max: most, keep: keep}
	if path == stdout {
		f.to = os.Stdout
		return f, nil
	}
	return f, f.open()
}

func (f *file) open() error {
	to, err := os.OpenFile(f.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o640)
	if err != nil {
		return fmt.Errorf("access log: %w", err)
	}
	info, err := to.Stat()
	if err != nil {
		return errors.Join(fmt.Errorf("access log: %w", err), to.Close())
	}
	f.to, f.size = to, info.Size()
	return nil
}

// reopen goes on in a new file of the same name, where the old one was moved
// away. The old one stays in use where there is no new one.
func (f *file) reopen() error {
	if f.path == stdout {
		return nil
	}
	old := f.to
	if err := f.open(); err != nil {
		return err
	}
	return old.Close()
}

// append writes whole lines, to the next file where this one would grow too
// large.
func (f *file) append(lines []byte) error {
	var fault error
	if f.max > 0 && f.size > 0 && f.size+int64(len(lines)) > f.max && f.path != stdout {
		fault = f.next()
	}
	n, err := f.to.Write(lines)
	f.size += int64(n)
	if err != nil {
		return fmt.Errorf("access log: %w", err)
	}
	return fault
}

// next moves the files on by a number each, the last one out.
func (f *file) next() error {
	name := func(n int) string { return fmt.Sprintf("%s.%d", f.path, n) }
	for n := f.keep; n > 1; n-- {
		if err := os.Rename(name(n-1), name(n)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("access log: %w", err)
		}
	}
	if err := os.Rename(f.path, name(1)); err != nil {
		return fmt.Errorf("access log: %w", err)
	}
	return f.reopen()
}

// Close implements io.Closer.
func (f *file) Close() error {
	if f.path == stdout {
		return nil
	}
	return f.to.Close()
}
