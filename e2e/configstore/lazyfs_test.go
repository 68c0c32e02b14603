//go:build lazyfs

package configstore

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/backlot-video/backlot/e2e/internal/cluster"
	"github.com/backlot-video/backlot/e2e/internal/quorum"
	"github.com/backlot-video/backlot/kit/testport"
)

// lazyFS is the path of the binary, which is not ours to bring.
func lazyFS(t *testing.T) string {
	t.Helper()
	path := os.Getenv("LAZYFS")
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("LAZYFS=%s: %v; it is the path of the binary lazyfs, which is built from https://github.com/dsrhaslab/lazyfs", path, err)
	}
	return path
}

// TestPowerIsCutAndNothingIsLost has members lose, together with their process,
// all that they have not synced: one, and all at once. What was acknowledged
// was synced by then.
func TestPowerIsCutAndNothingIsLost(t *testing.T) {
	cut := []fault{
		{"the leader's power is cut", func(s *scene) { s.kill(s.leader()) }},
		{"a follower's power is cut", func(s *scene) { s.kill(s.follower()) }},
	}
	prove(t, quorum.Config{Seed: setting(t, "BACKLOT_SEED", 1), Lazy: lazyFS(t)}, setting(t, "BACKLOT_ROUNDS", 3), cut)
}

// TestPowerCutFindsWhatIsNotSynced is the control: with the same engine told
// not to sync, a power cut takes what it acknowledged.
func TestPowerCutFindsWhatIsNotSynced(t *testing.T) {
	const puts = 50
	dir, err := os.MkdirTemp("", "lazy")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	mounted := dir + "/data"
	if err := os.Mkdir(mounted, 0o700); err != nil {
		t.Fatal(err)
	}
	disk := quorum.MountLazy(t, lazyFS(t), mounted)
	url, peer := "http://"+testport.Address(t), "http://"+testport.Address(t)
	start := func(more ...string) *cluster.Process {
		return cluster.Start(t, cluster.Build(t, cluster.Plain, "services/configstore/cmd/configstore"), append([]string{
			"etcd", "--name", "one", "--data-dir", mounted + "/etcd", "--log-level", "error",
			"--listen-client-urls", url, "--advertise-client-urls", url,
			"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", "one=" + peer,
		}, more...), nil)
	}
	putAndCut := func(p *cluster.Process, prefix string) {
		for n := range puts {
			until(t, p, url+"/v3/kv/put", fmt.Sprintf(`{"key":%q,"value":%q}`, encoded(fmt.Sprint(prefix, n)), encoded("value")))
		}
		p.Kill()
		disk.Cut()
	}
	putAndCut(start(), "synced")
	putAndCut(start("--unsafe-no-fsync"), "unsafe")
	p := start()
	kept := func(prefix, end string) int {
		found := until(t, p, url+"/v3/kv/range", fmt.Sprintf(`{"key":%q,"range_end":%q}`, encoded(prefix), encoded(end)))
		return strings.Count(found, encoded("value"))
	}
	synced, unsafe := kept("synced", "synced~"), kept("unsafe", "unsafe~")
	t.Logf("of %d puts each, %d that were synced are there, and %d that were not", puts, synced, unsafe)
	if synced != puts || unsafe == puts {
		t.Error("a power cut takes what was not synced, and nothing else")
	}
	p.Terminate()
}
