package secret

import (
	"fmt"
	"io"
	"os"
)

// maxFile is the most that is read of a file.
const maxFile = 1 << 20

// files are the certificate and the key of the settings.
type files struct {
	cert, key string
	pair      *certificate // in force
	looked    [2]version   // at the last load, good or not
}

// version tells one content of a file from another without reading it.
type version struct {
	size    int64
	changed int64 // Unix nanoseconds
	file    os.FileInfo
}

func versionOf(path string) version {
	info, err := os.Stat(path)
	if err != nil {
		return version{}
	}
	return version{size: info.Size(), changed: info.ModTime().UnixNano(), file: info}
}

func (v version) same(other version) bool {
	if v.file == nil || other.file == nil {
		return v.file == nil && other.file == nil
	}
	return v.size == other.size && v.changed == other.changed && os.SameFile(v.file, other.file)
}

// changed tells whether loading may give something else than the last time.
func (f *files) changed() bool {
	return !versionOf(f.cert).same(f.looked[0]) || !versionOf(f.key).same(f.looked[1])
}

// load reads both files. With an error pair stays as it is.
func (f *files) load() error {
	f.looked = [2]version{versionOf(f.cert), versionOf(f.key)}
	cert, err := read(f.cert)
	if err != nil {
		return err
	}
	key, err := read(f.key)
	if err != nil {
		return err
	}
	pair, err := parsePair(cert, key)
	if err != nil {
		return fmt.Errorf("%s, %s: %w", f.cert, f.key, err)
	}
	f.pair = pair
	return nil
}

func read(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	content, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err == nil && len(content) > maxFile {
		return nil, fmt.Errorf("%s: larger than %d bytes", path, maxFile)
	}
	return content, err
}
