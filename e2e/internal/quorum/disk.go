package quorum

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
)

// diskMiB is the size of a small disk: etcd's log takes two files of 64 MiB
// at once.
const diskMiB = 224

// Disk is where a member keeps its data.
type Disk struct {
	Dir  string
	Kind string // "ext4" or "tmpfs" for a disk of its own, else empty

	lazy *Lazy // what it is mounted as, if anything
}

// mount puts a small file system of its own at the folder: ext4 over a file,
// which writes to the real disk, or memory where loop devices are refused.
// Where neither is allowed the folder stays as it is.
func (d *Disk) mount(t *testing.T) {
	t.Helper()
	image := d.Dir + ".img"
	made := os.WriteFile(image, nil, 0o600) == nil && os.Truncate(image, diskMiB<<20) == nil &&
		exec.CommandContext(t.Context(), "mkfs.ext4", "-q", "-m", "0", image).Run() == nil
	size := "size=" + strconv.Itoa(diskMiB) + "m"
	switch {
	case made && exec.CommandContext(t.Context(), "mount", "-o", "loop", image, d.Dir).Run() == nil:
		d.Kind = "ext4"
	case exec.CommandContext(t.Context(), "mount", "-t", "tmpfs", "-o", size, "none", d.Dir).Run() == nil:
		d.Kind = "tmpfs"
	default:
		return
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", d.Dir).CombinedOutput(); err != nil {
			t.Errorf("umount %s: %v: %s", d.Dir, err, out)
		}
	})
}

func (d *Disk) ballast() string { return filepath.Join(d.Dir, "ballast") }

// Fill leaves no byte free.
func (d *Disk) Fill() error {
	file, err := os.Create(d.ballast())
	if err != nil {
		return err
	}
	for zeros := make([]byte, 1<<20); len(zeros) > 0 && (err == nil || errors.Is(err, syscall.ENOSPC)); {
		if _, err = file.Write(zeros); err != nil {
			zeros = zeros[:len(zeros)/2]
		}
	}
	if errors.Is(err, syscall.ENOSPC) {
		err = nil
	}
	return errors.Join(err, file.Close())
}

// Free gives back what Fill took.
func (d *Disk) Free() error { return os.Remove(d.ballast()) }
