package engine_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/backlot-video/backlot/services/configstore/internal/engine"
)

func TestFiveMembersBearTheLossOfTwo(t *testing.T) {
	t.Parallel()
	c := newTrio(t, "a", "b", "c", "d", "e")
	c.foundAs(engine.Config{NoSync: true, Cluster: engine.Cluster{Profile: quick}})
	leader := c.leader(c.names...)
	put(t, c.members[leader], "/key", "of five")
	left := c.others(leader)
	gone := []string{leader, left[0]}
	left = left[1:]
	for _, name := range gone {
		c.members[name].Close()
		delete(c.members, name)
	}
	c.leader(left...)
	if err := tryPut(t.Context(), c.members[left[0]], "/key", "of three", 10*time.Second); err != nil {
		t.Errorf("three of five do not take a write: %v", err)
	}
	last := left[2]
	c.members[last].Close()
	delete(c.members, last)
	if err := tryPut(t.Context(), c.members[left[0]], "/key", "of two", time.Second); err == nil {
		t.Error("two of five took a write")
	}
	c.start(append(gone, last)...)
	c.leader(c.names...)
	put(t, c.members[gone[0]], "/key", "of five again")
	for _, name := range c.names {
		c.until("the last write at "+name, func() bool { return c.value(name, "/key") == "of five again" })
	}
}

// TestMemberWhoseDiskIsLostIsReplaced takes out a member that is dead and adds
// one of the same name that knows nothing, and learns before it votes.
func TestMemberWhoseDiskIsLostIsReplaced(t *testing.T) {
	t.Parallel()
	c := found(t)
	put(t, c.members["a"], "/key", "kept")
	lost := c.members["b"].Status().ID
	c.members["b"].Close()
	delete(c.members, "b")
	c.leader("a", "c")
	var err error
	c.until("taking the dead one out", func() bool {
		err = c.members["a"].RemoveMember(t.Context(), lost)
		return !errors.Is(err, engine.ErrQuorum)
	})
	if err != nil {
		t.Fatal(err)
	}
	joins := c.config("b")
	var id uint64
	c.until("adding another", func() bool {
		var list []string
		id, list, err = c.members["a"].AddMember(t.Context(), "b", joins.Cluster.PeerURL)
		joins.Cluster.Members, joins.Cluster.Join = list, true
		return !errors.Is(err, engine.ErrQuorum)
	})
	if err != nil {
		t.Fatal(err)
	}
	votes := func() bool {
		for _, m := range c.members["a"].Status().Members {
			if m.ID == id {
				return !m.Learner
			}
		}
		return false
	}
	if id == lost || votes() {
		t.Errorf("member %d, that was %d, votes before it has learned anything", id, lost)
	}
	c.configs["b"] = joins
	c.start("b")
	c.until("the new one's vote", votes)
	c.until("what was written before it came", func() bool { return c.value("b", "/key") == "kept" })
	c.members["c"].Close() // now its vote is needed
	delete(c.members, "c")
	c.leader("a", "b")
	if err := tryPut(t.Context(), c.members["b"], "/key", "by its vote", 10*time.Second); err != nil {
		t.Errorf("the new member's vote does not count: %v", err)
	}
}

// TestMemberThatIsCutOffForcesNoElection has a follower hear of nobody for many
// election times: it asks before it stands for election, nobody answers, and so
// its term is the others' when it comes back.
func TestMemberThatIsCutOffForcesNoElection(t *testing.T) {
	t.Parallel()
	calm := engine.Profile{Heartbeat: 100 * time.Millisecond, Election: time.Second} // a busy machine's stalls are shorter
	c := newTrio(t, "a", "b", "c")
	c.foundAs(engine.Config{NoSync: true, Cluster: engine.Cluster{Profile: calm}})
	leader := c.leader(c.names...)
	follower := c.others(leader)[0]
	before := c.members[leader].Status()
	c.network.Isolate(follower, c.others(follower)...)
	c.until("the follower's loss of its leader", func() bool { return c.members[follower].Status().Leader == 0 })
	for n := range 5 { // each is replicated by the other two
		put(t, c.members[leader], "/key", fmt.Sprint(n))
		<-time.After(calm.Election)
	}
	if term := c.members[follower].Status().Term; term != before.Term {
		t.Errorf("alone it came to term %d from %d", term, before.Term)
	}
	c.network.Heal()
	c.until("the follower's catching up", func() bool { return c.value(follower, "/key") == "4" })
	after := c.members[leader].Status()
	if c.leader(c.names...) != leader || after.Term != before.Term || after.StepDowns != before.StepDowns {
		t.Errorf("its return changed term %d to %d, and made %d step-downs %d", before.Term, after.Term, before.StepDowns, after.StepDowns)
	}
}

func TestFreeSpaceIsGivenBackByItself(t *testing.T) {
	t.Parallel()
	e, err := engine.Start(t.Context(), engine.Config{
		DataDir: filepath.Join(t.TempDir(), "etcd"), NoSync: true, DefragEvery: time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	big := strings.Repeat("x", 1<<20)
	for range 80 {
		put(t, e, "/key", big)
	}
	full := e.Status().SizeBytes
	if err := e.Compact(t.Context(), e.Revision()); err != nil {
		t.Fatal(err)
	}
	for range 200 {
		if now := e.Status().SizeBytes; now < full/4 {
			t.Logf("%d MiB became %d", full>>20, now>>20)
			return
		}
		<-time.After(100 * time.Millisecond)
	}
	t.Errorf("of %d MiB %d are used, and none was given back: %+v", full>>20, e.Status().UsedBytes>>20, e.Status())
}
