package engine_test

import (
	"bytes"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/backlot-video/backlot/kit/testcert"
	"github.com/backlot-video/backlot/kit/testport"
	"github.com/backlot-video/backlot/services/configstore/internal/engine"
)

func TestSnapshotIsRestoredAndRevisionsGoOnAbove(t *testing.T) {
	dir := t.TempDir()
	old := start(t, filepath.Join(dir, "old"), nil)
	put(t, old, "/kept", "a")
	last := put(t, old, "/kept", "b")
	var saved bytes.Buffer
	if n, err := old.Snapshot(t.Context(), &saved); err != nil || n != int64(saved.Len()) {
		t.Fatalf("saved %d bytes of %d: %v", n, saved.Len(), err)
	}
	put(t, old, "/lost", "c")
	old.Close()
	file, torn := filepath.Join(dir, "snapshot"), filepath.Join(dir, "torn")
	flipped := bytes.Clone(saved.Bytes())
	flipped[len(flipped)/2] ^= 1
	if err := os.WriteFile(file, saved.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(torn, flipped, 0o600); err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	fresh := filepath.Join(dir, "new")
	if err := engine.Restore(torn, fresh, engine.Cluster{}, log); err == nil {
		t.Error("a damaged snapshot was restored")
	}
	if err := engine.Restore(file, fresh, engine.Cluster{}, log); err != nil {
		t.Fatal(err)
	}
	if err := engine.Restore(file, fresh, engine.Cluster{}, log); err == nil {
		t.Error("restored over data")
	}
	c := newTrio(t, "new")
	c.members["new"] = start(t, fresh, nil)
	if got := c.value("new", "/kept"); got != "b" {
		t.Errorf("restored %q", got)
	}
	if got := c.value("new", "/lost"); got != "" {
		t.Errorf("what came after the snapshot is there: %q", got)
	}
	if next := put(t, c.members["new"], "/kept", "c"); next <= last+1000 {
		t.Errorf("revision %d after %d: those who saw the lost ones would take it for older", next, last)
	}
}

func TestFullDatabaseMakesRoomByItself(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "etcd")
	e, err := engine.Start(t.Context(), engine.Config{DataDir: dir, QuotaBytes: 16 << 20, NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	big := strings.Repeat("x", 256<<10)
	refused := 0
	for range 600 { // 150 MB of versions of one key
		if err := tryPut(t.Context(), e, "/key", big, 5*time.Second); err != nil {
			refused++
			<-time.After(100 * time.Millisecond)
		}
	}
	if refused == 0 {
		t.Error("the quota was never felt")
	}
	for range 100 {
		if err := tryPut(t.Context(), e, "/key", "small", time.Second); err == nil && len(e.Status().Alarms) == 0 {
			return
		}
		<-time.After(100 * time.Millisecond)
	}
	t.Errorf("still refused: %+v", e.Status())
}

// certify is an authority, and a certificate of it for loopback.
func certify(t *testing.T) (files engine.Files) {
	t.Helper()
	files.Authority, files.Cert, files.Key = testcert.New().Leaf("127.0.0.1").Files(t)
	return files
}

func TestMembersTalkByMutualTLSAndRefuseStrangers(t *testing.T) {
	t.Parallel()
	files, strangers := certify(t), certify(t)
	c := newTrio(t, "a", "b")
	var list []string
	for _, name := range c.names {
		config := c.config(name)
		config.Cluster.PeerTLS, config.Cluster.PeerURL = files, "https://"+config.Cluster.PeerListen
		list = append(list, name+"="+config.Cluster.PeerURL)
		c.configs[name] = config
	}
	for name, config := range c.configs {
		config.Cluster.Members = list
		c.configs[name] = config
	}
	c.start("a", "b")
	put(t, c.members["a"], "/key", "value")
	c.until("the value at b", func() bool { return c.value("b", "/key") == "value" })
	// The same member with another authority's certificate is let in nowhere.
	c.members["b"].Close()
	delete(c.members, "b")
	config := c.configs["b"]
	config.Cluster.PeerTLS = strangers
	if e, err := startWithin(t, config, 3*time.Second); err == nil {
		e.Close()
		t.Error("a stranger became a member")
	}
}

func TestEtcdsOwnPortIsOffUnlessAskedFor(t *testing.T) {
	address := testport.Address(t)
	config := engine.Config{DataDir: filepath.Join(t.TempDir(), "etcd"), NoSync: true, Cluster: engine.Cluster{ClientListen: address}}
	e, err := engine.Start(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
}

func TestClusterNamesTheSettingThatIsWrong(t *testing.T) {
	files := engine.Files{Cert: "c", Key: "k", Authority: "a"}
	for want, cluster := range map[string]engine.Cluster{
		"": {PeerListen: "127.0.0.1:8102"},
		"peer-listen: 10.0.0.1:8102 is not on loopback": {PeerListen: "10.0.0.1:8102"},
		"client-listen: 0.0.0.0:2379 is not":            {ClientListen: "0.0.0.0:2379"},
		"peer-cert, peer-key, peer-ca":                  {PeerListen: "127.0.0.1:8102", PeerTLS: engine.Files{Cert: "c"}},
		"members, join: need peer-listen":               {Join: true},
		"must name this member as b=https://1.2.3.4:1": {
			Name: "b", PeerListen: "1.2.3.4:1", PeerTLS: files, Members: []string{"a=https://1.2.3.4:2"},
		},
		`members: "a" must be name=url`:         {PeerListen: "127.0.0.1:1", Members: []string{"a"}},
		"must be https://host:port":             {PeerListen: "127.0.0.1:1", Members: []string{"a=ftp://x:1"}},
		"join: members must name those":         {PeerListen: "127.0.0.1:1", Join: true},
		"peer-listen: address nowhere: missing": {PeerListen: "nowhere"},
	} {
		err := cluster.Validate()
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%+v: got %v, want %q", cluster, err, want)
		}
	}
}

func TestRecommendedProfileStandsStallsAndRoundTrips(t *testing.T) {
	for _, c := range []struct {
		trip, stall time.Duration
		want        string
		fits        bool
	}{
		{time.Millisecond, 100 * time.Millisecond, "lan", true},
		{10 * time.Millisecond, 1200 * time.Millisecond, "region", true},
		{150 * time.Millisecond, 2 * time.Second, "wan", true},
		{300 * time.Millisecond, 2 * time.Second, "wan", true},
		{400 * time.Millisecond, 4 * time.Second, "far", true},
		{300 * time.Millisecond, 10 * time.Second, "far", false},
	} {
		if got, fits := engine.Recommend(c.trip, c.stall); got != c.want || fits != c.fits {
			t.Errorf("%v and stalls of %v: %s, %v; want %s, %v", c.trip, c.stall, got, fits, c.want, c.fits)
		}
	}
}
