// Package canary says which instances a canary chooses, and whether what they
// report lets it go on.
//
//	choose.go   who is chosen
//	evidence.go what instances report of a canary
//	window.go   what they have counted since a step began
//	judge.go    what becomes of it
//	pilot.go    Pilot: drives all canaries of a store, on the leader
//
// It does not keep canaries, and does not make reports.
package canary

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"

	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
)

// whole is all instances, in parts per million.
const whole = 1_000_000

// Has tells whether a canary's objects are a subscriber's now.
func Has(c *configstorev1.Canary, s *configstorev1.Subscriber) bool {
	return c.GetState() == configstorev1.Canary_STATE_RUNNING && chosen(c, s, int(c.GetStep()))
}

// Had tells whether they were before the canary became what it is: every change
// of a canary is to the next step, or its end.
func Had(c *configstorev1.Canary, s *configstorev1.Subscriber) bool {
	if c.GetState() == configstorev1.Canary_STATE_RUNNING {
		return chosen(c, s, int(c.GetStep())-1)
	}
	return chosen(c, s, int(c.GetStep()))
}

// Since is the revision at which a subscriber that has a canary was given it.
func Since(c *configstorev1.Canary, s *configstorev1.Subscriber) int64 {
	for step, revision := range c.GetRevisions() {
		if chosen(c, s, step) {
			return revision
		}
	}
	return c.GetRevision()
}

func chosen(c *configstorev1.Canary, s *configstorev1.Subscriber, step int) bool {
	steps := c.GetPlan().GetSteps()
	if s.GetId() == "" || step < 0 || step >= len(steps) || !matches(c.GetPlan().GetMatch(), s) {
		return false
	}
	return point(c.GetId(), s.GetId()) < steps[step].GetSharePpm()
}

// matches tells whether a subscriber has all labels.
func matches(labels map[string]string, s *configstorev1.Subscriber) bool {
	for name, value := range labels {
		if name == "service" {
			if !slices.Contains(s.GetServices(), value) {
				return false
			}
		} else if own, found := s.GetLabels()[name]; !found || own != value {
			return false
		}
	}
	return true
}

// point is where an instance stands among all, for one canary: always the
// same, and for each canary others are first.
func point(canary, instance string) uint32 {
	sum := sha256.Sum256([]byte(canary + "\x00" + instance))
	return uint32(binary.BigEndian.Uint64(sum[:8]) % whole) //nolint:gosec // below a million
}
