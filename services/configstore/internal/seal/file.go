package seal

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"strings"

	"github.com/backlot-video/backlot/kit/file"
)

// maxFileBytes bounds a key file.
const maxFileBytes = 64 << 10

const fileHead = "# Keys that Backlot's configstore encrypts secrets with, newest first. They are\n" +
	"# in no backup of the store: keep a copy of this file elsewhere.\n"

// Load reads a key file: a key per line, 32 bytes in base64, newest first;
// lines that begin with # are passed over. Nobody but its owner may be able to
// read it. No error holds any of a key.
func Load(path string) (*Ring, error) {
	keys, _, err := read(path)
	if err != nil {
		return nil, err
	}
	ring, err := NewRing(keys...)
	if err != nil {
		return nil, fmt.Errorf("key file %s: %w", path, err)
	}
	return ring, nil
}

func read(path string) (keys [][]byte, lines []string, err error) {
	from, err := os.Open(path)
	if err != nil {
		return nil, nil, fmt.Errorf("key file: %w", err)
	}
	defer from.Close()
	info, err := from.Stat()
	if err != nil {
		return nil, nil, fmt.Errorf("key file: %w", err)
	}
	if mode := info.Mode().Perm(); runtime.GOOS != "windows" && mode&0o077 != 0 {
		return nil, nil, fmt.Errorf("key file %s: others may read it (mode %04o); chmod 600 it", path, mode)
	}
	text, err := io.ReadAll(io.LimitReader(from, maxFileBytes+1))
	switch {
	case err != nil:
		return nil, nil, fmt.Errorf("key file: %w", err)
	case len(text) > maxFileBytes:
		return nil, nil, fmt.Errorf("key file %s: above %d bytes", path, maxFileBytes)
	}
	keys, lines, err = parse(string(text))
	if err != nil {
		return nil, nil, fmt.Errorf("key file %s: %w", path, err)
	}
	return keys, lines, nil
}

// parse returns the keys, and the lines that they are on.
func parse(text string) (keys [][]byte, lines []string, err error) {
	number := 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		key, err := base64.StdEncoding.Strict().DecodeString(line)
		if err != nil || len(key) != keyBytes {
			return nil, nil, fmt.Errorf("line %d is no key: must be %d bytes in base64", number, keyBytes)
		}
		keys, lines = append(keys, key), append(lines, line)
	}
	if len(keys) == 0 {
		return nil, nil, errors.New("there is no key in it")
	}
	return keys, lines, nil
}

// Add puts a new key before those of a key file, which it makes where it is
// missing, and returns the new key's id.
func Add(path string) (id string, err error) {
	_, lines, err := read(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	if len(lines) >= MaxKeys {
		return "", fmt.Errorf("key file %s: has %d keys already; take out those that are of no more use", path, len(lines))
	}
	lines = append([]string{newLine()}, lines...)
	if err := file.Replace(path, []byte(fileHead+strings.Join(lines, "\n")+"\n")); err != nil {
		return "", fmt.Errorf("key file: %w", err)
	}
	ring, err := Load(path)
	if err != nil {
		return "", err
	}
	return ring.Newest(), nil
}

// Make makes a key file with one key, unless there is one, and reads it.
func Make(path string) (*Ring, error) {
	_, err := file.Once(path, func() []byte { return []byte(fileHead + newLine() + "\n") })
	if err != nil {
		return nil, fmt.Errorf("key file: %w", err)
	}
	return Load(path)
}

func newLine() string {
	key := make([]byte, keyBytes)
	rand.Read(key) // never fails
	return base64.StdEncoding.EncodeToString(key)
}
