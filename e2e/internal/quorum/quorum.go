// Package quorum runs configstores that are members of one cluster: each a
// process of its own, on a disk of its own, with a network between them that
// can be cut.
//
//	quorum.go  the members together
//	member.go  one member, its API, its death
//	disk.go    a small disk, to be filled
//	lazy.go    a disk that loses what was not synced
//
// The network carries what members say to each other; clients reach each
// member directly, as from beside it. Only the test's goroutine may start and
// end members.
package quorum

import (
	"fmt"
	"math"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/backlot-video/backlot/e2e/internal/cluster"
	"github.com/backlot-video/backlot/kit/identity"
	"github.com/backlot-video/backlot/kit/wan"
	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
)

// Config is what a Quorum can be given.
type Config struct {
	Seed  uint64 // of the network's jitter
	Small bool   // each member's disk is small: see Disk
	Lazy  string // each member's disk is this binary of LazyFS; empty: as it is
	Flags []string
}

// Quorum is the members.
type Quorum struct {
	Members []*Member // a, b, c
	Network *wan.Network
	Binary  string

	secretKey string // file that secrets are encrypted with, the same for all members

	t      *testing.T
	keys   *identity.Keys
	client *http.Client
}

// New starts three members and waits until all are ready.
func New(t *testing.T, config Config) *Quorum {
	t.Helper()
	dir, err := os.MkdirTemp("", "quorum")
	if err != nil {
		t.Fatal(err)
	}
	q := &Quorum{
		t: t, Network: wan.New(config.Seed, wan.Link{}),
		Binary: cluster.Build(t, cluster.Plain, "services/configstore/cmd/configstore"),
		client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}},
	}
	// Cleanups run from the last to the first: members end before their disks.
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		q.client.CloseIdleConnections()
		if err := q.Network.Close(); err != nil {
			t.Error(err)
		}
	})
	keyFile := filepath.Join(dir, "cluster.key")
	if q.keys, err = identity.OpenKeys(keyFile, nil); err != nil {
		t.Fatal(err)
	}
	q.secretKey = filepath.Join(dir, "secret.key")
	if out, err := exec.CommandContext(t.Context(), q.Binary, "key", q.secretKey).CombinedOutput(); err != nil {
		t.Fatalf("configstore key: %v\n%s", err, out)
	}
	var list []string
	for _, name := range []string{"a", "b", "c"} {
		m := q.member(name, filepath.Join(dir, name), keyFile, config)
		q.Members = append(q.Members, m)
		list = append(list, name+"="+m.peerURL)
	}
	for _, m := range q.Members {
		m.flags = append(m.flags, "--configstore.members", strings.Join(list, ","))
		m.Start()
	}
	for _, m := range q.Members {
		m.Ready()
		q.Network.Know(m.Status().GetMemberId(), m.Name)
	}
	return q
}

// Wait waits for a condition.
func (q *Quorum) Wait(what string, limit time.Duration, holds func() bool) {
	q.t.Helper()
	q.WaitWhile(what, limit, func() int64 { return 0 }, holds)
}

// mostWaits is how many limits WaitWhile waits at most.
const mostWaits = 10

// WaitWhile waits for a condition as long as something gets on: limit is the
// time without any progress. A busy machine is slow, and a member that is stuck
// gets nowhere.
func (q *Quorum) WaitWhile(what string, limit time.Duration, progress func() int64, holds func() bool) {
	q.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	end, last := time.After(mostWaits*limit), progress()
	still := time.NewTimer(limit)
	defer still.Stop()
	for !holds() {
		ended := false
		select {
		case <-tick.C:
			if now := progress(); now != last {
				last = now
				still.Reset(limit)
			}
		case <-still.C:
			ended = true
		case <-end:
			ended = true
		}
		if ended {
			var text strings.Builder
			for _, m := range q.Members {
				_, _ = fmt.Fprintf(&text, "%s: %v\n%s\n", m.Name, m.Status(), m.Process.Tail())
			}
			q.t.Fatalf("after %v without progress, or %d times that, there was not: %s\n%s", limit, mostWaits, what, &text)
		}
	}
}

// Leader waits until all that are asked agree on a leader among them.
func (q *Quorum) Leader(among ...*Member) *Member {
	q.t.Helper()
	var leader *Member
	q.Wait("a leader", 30*time.Second, func() bool {
		leader = nil
		for _, m := range among {
			status := m.Status()
			if status == nil || status.GetLeaderId() == "" {
				return false
			}
			for _, other := range among {
				if other.ID == status.GetLeaderId() && (leader == nil || leader == other) {
					leader = other
				}
			}
			if leader == nil || leader.ID != status.GetLeaderId() {
				return false
			}
		}
		return true
	})
	return leader
}

// Others are all members but one.
func (q *Quorum) Others(than *Member) (others []*Member) {
	for _, m := range q.Members {
		if m != than {
			others = append(others, m)
		}
	}
	return others
}

// Isolate cuts a member off, both ways.
func (q *Quorum) Isolate(m *Member) {
	for _, other := range q.Others(m) {
		q.Network.Isolate(m.Name, other.Name)
	}
}

// Whole waits until a leader hears of all members and all have applied what it
// has.
func (q *Quorum) Whole() {
	q.t.Helper()
	q.WaitWhile("all members to have caught up", 30*time.Second, q.slowest, func() bool {
		newest, following := int64(0), 0
		for _, m := range q.Members {
			status := m.Status()
			if status == nil {
				return false
			}
			for _, other := range status.GetMembers() {
				if p := other.GetProgress(); p.GetActive() && p.GetState() == configstorev1.Member_Progress_STATE_REPLICATE {
					following++
				}
			}
			if m.ID == status.GetLeaderId() {
				newest = status.GetRevision()
			}
		}
		for _, m := range q.Members {
			if m.Status().GetRevision() < newest {
				return false
			}
		}
		return newest > 0 && following == len(q.Members)-1
	})
}

// slowest is the revision of the member that is furthest behind; -1 while one
// does not answer.
func (q *Quorum) slowest() int64 {
	behind := int64(math.MaxInt64)
	for _, m := range q.Members {
		status := m.Status()
		if status == nil {
			return -1
		}
		behind = min(behind, status.GetRevision())
	}
	return behind
}

// AddKey puts a new key before the others in the file of all members, which
// read it when they start.
func (q *Quorum) AddKey() {
	q.t.Helper()
	if out, err := exec.CommandContext(q.t.Context(), q.Binary, "key", q.secretKey).CombinedOutput(); err != nil {
		q.t.Fatalf("configstore key: %v\n%s", err, out)
	}
}

// DropOldKeys leaves the newest key alone in the file of all members.
func (q *Quorum) DropOldKeys() {
	q.t.Helper()
	text, err := os.ReadFile(q.secretKey)
	if err != nil {
		q.t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if line != "\n" && !strings.HasPrefix(line, "#") {
			if err := os.WriteFile(q.secretKey, []byte(line), 0o600); err != nil {
				q.t.Fatal(err)
			}
			return
		}
	}
	q.t.Fatalf("%s holds no key", q.secretKey)
}
