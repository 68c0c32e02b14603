package quorum

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/backlot-video/backlot/e2e/internal/cluster"
)

// lazyMiB is what LazyFS holds in memory at most: two files of etcd's log, and
// its database.
const lazyMiB = 512

// Lazy is a file system that writes to the disk what was synced, and holds the
// rest in the memory of a process: LazyFS.
type Lazy struct {
	Dir string // where it is mounted

	t       *testing.T
	binary  string
	disk    string // folder that holds what is on the disk
	config  string
	process *cluster.Process
}

// MountLazy mounts LazyFS, the binary of that name, on a folder that there is;
// what it keeps is beside it.
func MountLazy(t *testing.T, binary, dir string) *Lazy {
	t.Helper()
	l := &Lazy{Dir: dir, t: t, binary: binary, disk: dir + ".disk", config: dir + ".toml"}
	if err := os.Mkdir(l.disk, 0o700); err != nil {
		t.Fatal(err)
	}
	settings := fmt.Sprintf("[faults]\nfifo_path=%q\n[cache]\napply_eviction=false\n[cache.simple]\ncustom_size=\"%dmb\"\nblocks_per_page=1\n"+
		"[filesystem]\nlog_all_operations=false\nlogfile=\"\"\n", dir+".fifo", lazyMiB)
	if err := os.WriteFile(l.config, []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.unmount)
	l.mount()
	return l
}

func (l *Lazy) mount() {
	l.t.Helper()
	l.process = cluster.Start(l.t, l.binary, []string{
		l.Dir, "--config-path", l.config, "-o", "allow_other", "-o", "modules=subdir", "-o", "subdir=" + l.disk, "-f",
	}, nil)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(30 * time.Second)
	for {
		mounts, err := os.ReadFile("/proc/mounts")
		if err != nil {
			l.t.Fatal(err)
		}
		if strings.Contains(string(mounts), " "+l.Dir+" fuse") {
			return
		}
		select {
		case <-tick.C:
		case <-l.process.Ended():
			l.t.Fatalf("LazyFS does not mount %s; it needs /dev/fuse, and root:\n%s", l.Dir, l.process.Tail())
		case <-limit:
			l.t.Fatalf("LazyFS does not mount %s:\n%s", l.Dir, l.process.Tail())
		}
	}
}

func (l *Lazy) unmount() {
	l.process.Kill()
	if out, err := exec.Command("umount", "--lazy", l.Dir).CombinedOutput(); err != nil {
		l.t.Errorf("umount %s: %v: %s", l.Dir, err, out)
	}
}

// Cut loses what was not synced, as a power cut does: it goes with the process
// that holds it. Nobody may have a file open.
func (l *Lazy) Cut() {
	l.t.Helper()
	l.unmount()
	l.mount()
}
