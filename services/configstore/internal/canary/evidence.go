package canary

import (
	"cmp"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	"github.com/backlot-video/backlot/services/configstore/internal/ack"
)

// maxRejecting bounds the instances that are named.
const maxRejecting = 20

// standing is what one instance says of a canary.
type standing struct {
	entry    ack.Entry
	chosen   bool
	accepted bool
	rejected []*configstorev1.Rejection
}

// standings are the instances that follow any kind of a canary.
func standings(c *configstorev1.Canary, entries []ack.Entry) []standing {
	keys := keysOf(c)
	var all []standing
	for _, entry := range entries {
		subscriber := entry.Report.GetSubscriber()
		s := standing{entry: entry, chosen: Has(c, subscriber), accepted: true}
		follows, since := false, Since(c, subscriber)
		for _, a := range entry.Report.GetKinds() {
			if keys.kind(a.GetKind()) {
				follows = true
				s.accepted = s.accepted && a.GetRevision() >= since
			}
			for _, r := range a.GetRejected() {
				if keys.rejected(a.GetKind(), r, since) {
					s.rejected = append(s.rejected, r)
				}
			}
		}
		if follows {
			s.accepted = s.accepted && len(s.rejected) == 0
			all = append(all, s)
		}
	}
	return all
}

// keys are the objects of a canary.
type keys map[[3]string]bool

func keysOf(c *configstorev1.Canary) keys {
	all := make(keys, len(c.GetChanges()))
	for _, change := range c.GetChanges() {
		key := Key(change)
		all[[3]string{key.GetKind(), key.GetNamespace(), key.GetName()}] = true
	}
	return all
}

// Key is that of the object which a change changes, with its namespace.
func Key(change *configstorev1.Change) *configstorev1.Key {
	key := change.GetDelete()
	if put := change.GetPut(); put != nil {
		key = put.GetKey()
	}
	return &configstorev1.Key{Kind: key.GetKind(), Namespace: cmp.Or(key.GetNamespace(), "default"), Name: key.GetName()}
}

func (k keys) kind(kind string) bool {
	for key := range k {
		if key[0] == kind {
			return true
		}
	}
	return false
}

// rejected tells whether a rejection is of the canary's object: as it is since
// a revision.
func (k keys) rejected(kind string, r *configstorev1.Rejection, since int64) bool {
	if r.GetName() == "" { // a client of xDS: which object it was is not known, nor of which kind
		return true
	}
	return r.GetRevision() >= since && k[[3]string{kind, cmp.Or(r.GetNamespace(), "default"), r.GetName()}]
}

// gather sums up what is known of a canary.
func gather(c *configstorev1.Canary, all []standing, w *window, silent []string, now time.Time) *configstorev1.CanaryEvidence {
	e := &configstorev1.CanaryEvidence{SilentMembers: silent}
	for _, s := range all {
		switch {
		case !s.chosen:
			e.Others++
			continue
		case len(s.rejected) > 0:
			e.Rejected++
			if len(e.GetRejecting()) < maxRejecting {
				shown := ack.Instance(s.entry, &configstorev1.Acknowledgement{Rejected: s.rejected}, now)
				e.Rejecting = append(e.GetRejecting(), shown)
			}
		case s.accepted:
			e.Accepted++
		}
		e.Chosen++
	}
	for _, band := range c.GetPlan().GetBands() {
		e.Measures = append(e.Measures, measure(band.GetHealth(), all, w))
	}
	return e
}

func measure(health string, all []standing, w *window) *configstorev1.CanaryEvidence_Measure {
	m := &configstorev1.CanaryEvidence_Measure{Health: health}
	var own, others []time.Duration
	for _, s := range all {
		good, bad := w.since(s.entry.ID(), health)
		p99 := &others
		if s.chosen {
			m.Good, m.Bad, p99 = m.Good+good, m.Bad+bad, &own
		} else {
			m.OthersGood, m.OthersBad = m.OthersGood+good, m.OthersBad+bad
		}
		for _, h := range s.entry.Report.GetHealth() {
			if h.GetName() == health && h.GetP99().AsDuration() > 0 {
				*p99 = append(*p99, h.GetP99().AsDuration())
			}
		}
	}
	m.P99, m.OthersP99 = median(own), median(others)
	return m
}

func median(all []time.Duration) *durationpb.Duration {
	if len(all) == 0 {
		return nil
	}
	slices.Sort(all)
	return durationpb.New(all[len(all)/2])
}
