package lifecycle

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/backlot-video/backlot/kit/file"
)

// dataVersion is the layout of the data folder that this program writes.
const dataVersion = 1

// maxSocketPath is what every supported system allows in a socket's path.
const maxSocketPath = 100

// folder is the data folder of a process.
type folder struct {
	path    string // absolute
	sockets string
}

// openFolder makes the folder where it is missing, and refuses one that is
// newer than this program or cannot be written.
func openFolder(path string) (*folder, error) {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("data-dir: %w", err)
	}
	if err := os.MkdirAll(absolute, 0o700); err != nil {
		return nil, folderError(absolute, err)
	}
	if err := probeWritable(absolute); err != nil {
		return nil, folderError(absolute, err)
	}
	f := &folder{path: absolute}
	if err := f.checkVersion(); err != nil {
		return nil, err
	}
	if f.sockets, err = socketFolder(absolute); err != nil {
		return nil, err
	}
	return f, nil
}

func folderError(path string, err error) error {
	return fmt.Errorf("data-dir: cannot write in %s: %w; change its owner, or choose another folder with --data-dir", path, err)
}

func probeWritable(path string) error {
	probe, err := os.CreateTemp(path, ".probe-*")
	if err != nil {
		return err
	}
	return errors.Join(probe.Close(), os.Remove(probe.Name()))
}

// checkVersion writes VERSION in a new folder and compares it in a known
// one.
func (f *folder) checkVersion() error {
	path := filepath.Join(f.path, "VERSION")
	content, err := file.Once(path, func() []byte { return []byte(strconv.Itoa(dataVersion) + "\n") })
	if err != nil {
		return fmt.Errorf("data-dir: %w", err)
	}
	version, err := strconv.Atoi(strings.TrimSpace(string(content)))
	if err != nil {
		return fmt.Errorf("data-dir: %s does not hold a number", path)
	}
	if version > dataVersion {
		return fmt.Errorf("data-dir: %s is of version %d, this program knows up to %d: run a newer program or choose another folder with --data-dir",
			f.path, version, dataVersion)
	}
	return nil
}

// service makes the folder of one service and locks it by a file in it; a
// second process on the same folder is refused.
func (f *folder) service(name string, lock func(path string) (unlock func() error, err error)) (path string, unlock func() error, err error) {
	path = filepath.Join(f.path, name)
	if err := os.MkdirAll(path, 0o700); err != nil {
		return "", nil, folderError(path, err)
	}
	unlock, err = lock(filepath.Join(path, "LOCK"))
	if err != nil {
		return "", nil, fmt.Errorf("%s: another process uses %s: stop it, or choose another folder with --data-dir (%w)", name, path, err)
	}
	return path, unlock, nil
}

// socket is where a service listens inside this machine.
func (f *folder) socket(service string) string {
	return filepath.Join(f.sockets, service+".sock")
}

// socketFolder is `run` in the data folder, or one in the system's folder
// for temporary files where that path is too long for a socket.
func socketFolder(data string) (string, error) {
	path := filepath.Join(data, "run")
	if len(path)+len("/configstore.sock") > maxSocketPath {
		sum := sha256.Sum256([]byte(data))
		path = filepath.Join(os.TempDir(), "backlot-"+hex.EncodeToString(sum[:6]))
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return "", folderError(path, err)
	}
	if err := os.Chmod(path, 0o700); err != nil {
		return "", folderError(path, err)
	}
	return path, nil
}

// instanceID names what runs on this data folder; a restart keeps it.
func (f *folder) instanceID(service, address string) string {
	host, _ := os.Hostname()
	sum := sha256.Sum256([]byte(host + "\x00" + f.path + "\x00" + address))
	return service + "-" + hex.EncodeToString(sum[:5])
}
