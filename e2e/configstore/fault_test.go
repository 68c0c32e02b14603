package configstore

import (
	"math/rand/v2"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/backlot-video/backlot/e2e/internal/quorum"
)

// fault is something that goes wrong and is mended again. load stays on.
type fault struct {
	name string
	play func(*scene)
}

// faults are all of them.
var faults = []fault{
	{"the leader is killed", func(s *scene) { s.kill(s.leader()) }},
	{"a follower is killed", func(s *scene) { s.kill(s.follower()) }},
	{"the leader is cut off", (*scene).cutLeader},
	{"a follower is cut off", (*scene).cutFollower},
	{"the leader is not heard", func(s *scene) { s.deafen(true) }},
	{"the leader hears nobody", func(s *scene) { s.deafen(false) }},
	{"the leader's disk is full", func(s *scene) { s.fill(s.leader()) }},
	{"a follower's disk is full", func(s *scene) { s.fill(s.follower()) }},
}

// honest are the codes with which a call may fail while members die.
var honest = map[connect.Code]bool{
	connect.CodeUnavailable: true, connect.CodeDeadlineExceeded: true, connect.CodeCanceled: true,
}

// scene is the members under load.
type scene struct {
	*testing.T
	quorum  *quorum.Quorum
	traffic *traffic
	random  *rand.Rand
}

// enough writes show that the others go on.
const enough = 20

// hold is how long a fault goes on once its effect was seen.
const hold = 500 * time.Millisecond

func (s *scene) leader() *quorum.Member { return s.quorum.Leader(s.quorum.Members...) }

func (s *scene) follower() *quorum.Member {
	others := s.quorum.Others(s.leader())
	return others[s.random.IntN(len(others))]
}

// silent waits until who leads finds a member silent, and behind.
func (s *scene) silent(m *quorum.Member) {
	s.Helper()
	s.quorum.Wait("a leader to find "+m.Name+" silent", 30*time.Second, func() bool {
		for _, other := range s.quorum.Others(m) {
			if p := other.Progress(m); p != nil && !p.GetActive() && p.GetMatchIndex() < other.Status().GetCommittedIndex() {
				return true
			}
		}
		return false
	})
}

// goesOn waits for writes that are acknowledged, though one member is away.
func (s *scene) goesOn() {
	s.Helper()
	before, began := s.traffic.acked.Load(), time.Now()
	s.quorum.WaitWhile("writes without one member", 30*time.Second, s.traffic.acked.Load, func() bool { return s.traffic.acked.Load() >= before+enough })
	s.Logf("  %d writes by the others within %v", enough, time.Since(began).Round(time.Millisecond))
	s.pass(hold)
}

func (s *scene) pass(d time.Duration) {
	select {
	case <-time.After(d):
	case <-s.Context().Done():
	}
}

func (s *scene) kill(m *quorum.Member) {
	m.Kill()
	s.goesOn()
	s.silent(m)
	m.Start()
	m.Ready()
}

// cutLeader has the leader step down, for it hears of no majority.
func (s *scene) cutLeader() {
	old := s.leader()
	before := old.Status().GetStepDowns()
	s.quorum.Isolate(old)
	s.quorum.Leader(s.quorum.Others(old)...)
	s.goesOn()
	s.quorum.Wait("the old leader's stepping down", 30*time.Second, func() bool {
		status := old.Status()
		return status.GetLeaderId() == "" && status.GetStepDowns() > before
	})
	s.quorum.Network.Heal()
}

func (s *scene) cutFollower() {
	m := s.follower()
	s.quorum.Isolate(m)
	s.goesOn()
	s.silent(m)
	s.quorum.Network.Heal()
}

// deafen cuts one direction: what the leader says, or what is said to it.
func (s *scene) deafen(others bool) {
	old := s.leader()
	for _, other := range s.quorum.Others(old) {
		if others {
			s.quorum.Network.Cut(old.Name, other.Name)
		} else {
			s.quorum.Network.Cut(other.Name, old.Name)
		}
	}
	s.quorum.Leader(s.quorum.Others(old)...)
	s.goesOn()
	s.quorum.Network.Heal()
}

// fill leaves a member's disk no room, of which it dies rather than lie.
func (s *scene) fill(m *quorum.Member) {
	if m.Disk.Kind == "" {
		s.Log("  not played: no file system may be mounted here")
		return
	}
	began := time.Now()
	if err := m.Disk.Fill(); err != nil {
		s.Fatal(err)
	}
	select {
	case <-m.Process.Ended():
		s.Logf("  the %s was full; %s ended after %v", m.Disk.Kind, m.Name, time.Since(began).Round(time.Millisecond))
	case <-time.After(time.Minute):
		s.Errorf("%s works on with a full disk:\n%s", m.Name, m.Process.Tail())
	}
	s.goesOn()
	if err := m.Disk.Free(); err != nil {
		s.Fatal(err)
	}
	m.Start()
	m.Ready()
}
