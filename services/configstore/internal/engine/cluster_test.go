package engine_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/backlot-video/backlot/kit/testport"
	"github.com/backlot-video/backlot/kit/wan"
	"github.com/backlot-video/backlot/services/configstore/internal/engine"
)

// quick is a profile for tests on one machine.
var quick = engine.Profile{Heartbeat: 50 * time.Millisecond, Election: 500 * time.Millisecond}

// trio is three members behind a network.
type trio struct {
	*testing.T
	network *wan.Network
	names   []string
	configs map[string]engine.Config
	members map[string]*engine.Engine
}

// config is a member's, reached through the network.
func (c *trio) config(name string) engine.Config {
	c.Helper()
	listen := testport.Address(c.T)
	front, err := c.network.Front(c.Context(), name, listen)
	if err != nil {
		c.Fatal(err)
	}
	return engine.Config{
		DataDir: filepath.Join(c.TempDir(), name), NoSync: true, Log: slog.New(slog.DiscardHandler),
		Cluster: engine.Cluster{Name: name, PeerListen: listen, PeerURL: "http://" + front, Profile: quick},
	}
}

func newTrio(t *testing.T, names ...string) *trio {
	t.Helper()
	c := &trio{
		T: t, network: wan.New(1, wan.Link{}), names: names,
		configs: map[string]engine.Config{}, members: map[string]*engine.Engine{},
	}
	t.TempDir() // is removed after the members have stopped: etcd ends the process where its folder is gone
	t.Cleanup(func() {
		for _, name := range c.names {
			if e := c.members[name]; e != nil {
				e.Close()
			}
		}
		if err := c.network.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// found starts members that found a cluster together.
func found(t *testing.T) *trio {
	t.Helper()
	c := newTrio(t, "a", "b", "c")
	c.foundAs(engine.Config{NoSync: true, Cluster: engine.Cluster{Profile: quick}})
	return c
}

// foundAs is found with other settings than those of addresses.
func (c *trio) foundAs(with engine.Config) {
	c.Helper()
	var list []string
	for _, name := range c.names {
		config := c.config(name)
		config.Cluster.Profile, config.NoSync, config.SnapshotEntries = with.Cluster.Profile, with.NoSync, with.SnapshotEntries
		c.configs[name] = config
		list = append(list, name+"="+config.Cluster.PeerURL)
	}
	for name, config := range c.configs {
		config.Cluster.Members = list
		if err := config.Cluster.Validate(); err != nil {
			c.Fatal(err)
		}
		c.configs[name] = config
	}
	c.start(c.names...)
}

func (c *trio) start(names ...string) {
	c.Helper()
	var all sync.WaitGroup
	var mu sync.Mutex
	for _, name := range names {
		all.Go(func() {
			ctx, cancel := context.WithTimeout(c.Context(), 30*time.Second)
			defer cancel()
			e, err := engine.Start(ctx, c.configs[name])
			if err != nil {
				c.Errorf("%s: %v", name, err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			c.members[name] = e
			c.network.Know(engine.FormatID(e.Status().ID), name)
		})
	}
	all.Wait()
	if c.Failed() {
		c.FailNow()
	}
}

// leader waits until the members that are asked agree on one of theirs.
func (c *trio) leader(names ...string) string {
	c.Helper()
	var last string
	c.until("a leader among "+strings.Join(names, ", "), func() bool {
		last = ""
		for _, name := range names {
			id := c.members[name].Status().Leader
			for _, other := range names {
				if c.members[other].Status().ID == id && (last == "" || last == other) {
					last = other
					id = 0
				}
			}
			if id != 0 || last == "" {
				return false
			}
		}
		return true
	})
	return last
}

func (c *trio) until(what string, holds func() bool) {
	c.Helper()
	for range 600 {
		if holds() {
			return
		}
		<-time.After(50 * time.Millisecond)
	}
	for name, e := range c.members {
		c.Logf("%s: %+v", name, e.Status())
	}
	c.Fatalf("never came: %s", what)
}

// others are all but one.
func (c *trio) others(name string) []string {
	var rest []string
	for _, other := range c.names {
		if other != name {
			rest = append(rest, other)
		}
	}
	return rest
}

func (c *trio) value(name, key string) string {
	c.Helper()
	response, err := c.members[name].Range(c.Context(), &pb.RangeRequest{Key: []byte(key), Serializable: true})
	if err != nil || len(response.GetKvs()) == 0 {
		return ""
	}
	return string(response.GetKvs()[0].GetValue())
}

func tryPut(ctx context.Context, e *engine.Engine, key, value string, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	_, err := e.Txn(ctx, &pb.TxnRequest{Success: []*pb.RequestOp{{
		Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: []byte(key), Value: []byte(value)}},
	}}})
	return err
}

func TestAnyMemberTakesWritesAndAllGetThem(t *testing.T) {
	t.Parallel()
	c := found(t)
	for i, name := range c.names {
		put(t, c.members[name], "/key", fmt.Sprint(i))
		for _, reader := range c.names {
			c.until(name+"'s write at "+reader, func() bool { return c.value(reader, "/key") == fmt.Sprint(i) })
		}
	}
	lease, err := c.members["a"].Grant(t.Context(), 60)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range c.names { // only the leader keeps leases; others ask it
		if alive, err := c.members[name].Renew(t.Context(), lease); err != nil || !alive {
			t.Errorf("%s: lease is alive: %v, %v", name, alive, err)
		}
	}
	revision := c.members["a"].Revision()
	want, err := c.members["a"].Hash(t.Context(), revision)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range c.names {
		if got, err := c.members[name].Hash(t.Context(), revision); err != nil || got != want {
			t.Errorf("%s differs at revision %d: %s, %s, %v", name, revision, got, want, err)
		}
	}
}

func TestLeaderThatIsCutOffStepsDownAndOthersGoOn(t *testing.T) {
	t.Parallel()
	c := found(t)
	old := c.leader(c.names...)
	put(t, c.members[old], "/key", "before")
	before := c.members[old].Status().StepDowns // a stall of the machine may have made it step down
	c.network.Isolate(old, c.others(old)...)
	next := c.leader(c.others(old)...)
	if err := tryPut(t.Context(), c.members[next], "/key", "meanwhile", 5*time.Second); err != nil {
		t.Errorf("majority does not take a write: %v", err)
	}
	c.until("the old leader's stepping down", func() bool {
		status := c.members[old].Status()
		return status.Leader == 0 && status.StepDowns > before
	})
	if err := tryPut(t.Context(), c.members[old], "/key", "lost", 300*time.Millisecond); err == nil {
		t.Error("a member without a majority took a write")
	}
	c.network.Heal()
	c.until("the old leader's catching up", func() bool { return c.value(old, "/key") == "meanwhile" })
	c.leader(c.names...)
}

// What the leader knows of followers is told of the last engine started in a
// process only, so this test runs alone.
func TestLeaderShowsHowFarFollowersAre(t *testing.T) {
	c := newTrio(t, "a", "b", "c")
	c.foundAs(engine.Config{SnapshotEntries: 100, NoSync: true, Cluster: engine.Cluster{Profile: quick}})
	c.members["c"].Close() // and again, as the last one
	delete(c.members, "c")
	c.start("c")
	if leader := c.leader(c.names...); leader != "c" {
		c.until("c's lead", func() bool {
			_ = c.members[leader].MoveLeader(t.Context(), c.members["c"].Status().ID)
			return c.leader(c.names...) == "c"
		})
	}
	progress := func(of string) engine.Progress {
		for _, m := range c.members["c"].Status().Members {
			if m.Name == of && m.Progress != nil {
				return *m.Progress
			}
		}
		return engine.Progress{}
	}
	put(t, c.members["c"], "/key", "1")
	for _, of := range []string{"a", "b"} {
		c.until(of+"'s replication", func() bool {
			p := progress(of)
			return p.State == "replicate" && p.Active && p.Match == c.members["c"].Status().CommittedIndex
		})
	}
	c.network.Isolate("a", "b", "c")
	put(t, c.members["c"], "/key", "2")
	c.until("a's silence, and not b's", func() bool { // for a heartbeat in each election time the leader has heard nobody yet
		a, b := progress("a"), progress("b")
		return !a.Active && a.Match < c.members["c"].Status().CommittedIndex && b.Active && b.State == "replicate"
	})
	for range 300 { // more than the log keeps
		put(t, c.members["c"], "/key", "3")
	}
	c.network.SetLink(wan.Link{Delay: 200 * time.Millisecond}) // so that it can be seen
	c.network.Heal()
	c.until("sending a everything", func() bool { return progress("a").State == "snapshot" })
	c.network.SetLink(wan.Link{})
	c.until("a's catching up", func() bool {
		p := progress("a")
		return p.State == "replicate" && p.Active && c.value("a", "/key") == "3"
	})
	c.members["a"].Close() // connections are refused, of which the leader is told
	delete(c.members, "a")
	c.until("probing for a", func() bool { return progress("a").State == "probe" })
}

// With one direction cut the leader hears nobody, or nobody hears it.
func TestAsymmetricPartitionEndsInOneLeader(t *testing.T) {
	t.Parallel()
	c := found(t)
	for _, outgoing := range []bool{true, false} {
		old := c.leader(c.names...)
		for _, other := range c.others(old) {
			if outgoing {
				c.network.Cut(old, other)
			} else {
				c.network.Cut(other, old)
			}
		}
		next := c.leader(c.others(old)...)
		if err := tryPut(t.Context(), c.members[next], "/key", fmt.Sprint(outgoing), 5*time.Second); err != nil {
			t.Errorf("outgoing %v: %v", outgoing, err)
		}
		c.network.Heal()
		c.until("the old leader's catching up", func() bool { return c.value(old, "/key") == fmt.Sprint(outgoing) })
	}
}

func TestLoneMemberGrowsToThreeAndShrinks(t *testing.T) {
	t.Parallel()
	c := newTrio(t, "a", "b", "c")
	// At first it is alone and listens nowhere.
	config := c.config("a")
	alone := config
	alone.Cluster = engine.Cluster{}
	lone, err := engine.Start(t.Context(), alone)
	if err != nil {
		t.Fatal(err)
	}
	put(t, lone, "/key", "of a lone member")
	lone.Close()
	c.configs["a"] = config
	c.start("a")
	for i, name := range []string{"b", "c"} {
		joins := c.config(name)
		var id uint64
		// etcd wants five seconds of health before it takes another one.
		c.until("adding "+name, func() bool {
			var list []string
			id, list, err = c.members["a"].AddMember(t.Context(), name, joins.Cluster.PeerURL)
			joins.Cluster.Members, joins.Cluster.Join = list, true
			return err == nil || !errors.Is(err, engine.ErrQuorum)
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := c.members["a"].AddMember(t.Context(), "d", "http://127.0.0.1:1"); !errors.Is(err, engine.ErrMember) {
			t.Errorf("a second one was added before the first has started: %v", err)
		}
		if err := joins.Cluster.Validate(); err != nil {
			t.Fatal(err)
		}
		c.configs[name] = joins
		c.start(name)
		c.until(name+"'s vote", func() bool {
			for _, m := range c.members["a"].Status().Members {
				if m.ID == id {
					return !m.Learner && m.Name == name
				}
			}
			return false
		})
		if got := len(c.members[name].Status().Members); got != i+2 {
			t.Errorf("%s sees %d members", name, got)
		}
		c.until("data at "+name, func() bool { return c.value(name, "/key") == "of a lone member" })
	}
	gone := c.members["a"].Status().ID
	c.until("removing a member", func() bool {
		err = c.members["b"].RemoveMember(t.Context(), gone)
		return !errors.Is(err, engine.ErrQuorum)
	})
	if err != nil {
		t.Fatal(err)
	}
	c.until("the removed member's end", func() bool {
		select {
		case <-c.members["a"].Stopped():
			return true
		default:
			return false
		}
	})
	c.leader("b", "c")
	if err := tryPut(t.Context(), c.members["b"], "/key", "of two", 5*time.Second); err != nil {
		t.Error(err)
	}
	if err := c.members["b"].RemoveMember(t.Context(), gone); !errors.Is(err, engine.ErrMember) {
		t.Errorf("removed twice: %v", err)
	}
}

func startWithin(t *testing.T, config engine.Config, limit time.Duration) (*engine.Engine, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	return engine.Start(ctx, config)
}
