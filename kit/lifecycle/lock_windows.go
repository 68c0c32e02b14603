package lifecycle

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// lockFile holds an exclusive lock until the file is closed.
func lockFile(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	const flags = windows.LOCKFILE_EXCLUSIVE_LOCK | windows.LOCKFILE_FAIL_IMMEDIATELY
	if err := windows.LockFileEx(windows.Handle(file.Fd()), flags, 0, 1, 0, new(windows.Overlapped)); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

func duplicate(*os.File) (*os.File, error) { return nil, errors.ErrUnsupported }
