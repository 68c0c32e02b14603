package ack

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
)

// MaxDetails bounds the instances of one kind that are named.
const MaxDetails = 100

func sorted(entries map[string]Entry) []Entry {
	return slices.SortedFunc(maps.Values(entries), byID)
}

// Rollouts sums up, by kind and in order of kinds, where instances are. newest
// is the revision of a kind's last change; an empty kind means all that
// somebody follows.
func Rollouts(entries []Entry, kind string, newest func(kind string) (int64, error), now time.Time) ([]*configstorev1.KindRollout, error) {
	kinds := make(map[string]*configstorev1.KindRollout)
	if kind != "" { // that nobody follows it is an answer, too
		kinds[kind] = &configstorev1.KindRollout{Kind: kind}
	}
	for _, entry := range entries {
		for _, a := range entry.Report.GetKinds() {
			if kind != "" && a.GetKind() != kind {
				continue
			}
			if kinds[a.GetKind()] == nil {
				kinds[a.GetKind()] = &configstorev1.KindRollout{Kind: a.GetKind()}
			}
		}
	}
	rollouts := slices.SortedFunc(maps.Values(kinds), func(a, b *configstorev1.KindRollout) int { return cmp.Compare(a.GetKind(), b.GetKind()) })
	for _, r := range rollouts {
		revision, err := newest(r.GetKind())
		if err != nil {
			return nil, err
		}
		r.Revision = revision
	}
	for _, entry := range entries {
		for _, a := range entry.Report.GetKinds() {
			if r := kinds[a.GetKind()]; r != nil {
				add(r, entry, a, now)
			}
		}
	}
	for _, r := range rollouts {
		slices.SortStableFunc(r.GetDetails(), func(a, b *configstorev1.InstanceRollout) int {
			return cmp.Compare(len(b.GetRejected()), len(a.GetRejected()))
		})
		r.Details = r.GetDetails()[:min(len(r.GetDetails()), MaxDetails)]
	}
	return rollouts, nil
}

func add(r *configstorev1.KindRollout, entry Entry, a *configstorev1.Acknowledgement, now time.Time) {
	r.Instances++
	switch {
	case len(a.GetRejected()) > 0:
		r.Rejected++
	case a.GetRevision() < r.GetRevision():
		r.Behind++
	default:
		r.Accepted++
		return
	}
	r.Details = append(r.Details, Instance(entry, a, now))
}

// Instance is an entry as it is shown.
func Instance(entry Entry, a *configstorev1.Acknowledgement, now time.Time) *configstorev1.InstanceRollout {
	return &configstorev1.InstanceRollout{
		Subscriber: entry.Report.GetSubscriber(), Revision: a.GetRevision(), Rejected: a.GetRejected(),
		Age: durationpb.New(max(now.Sub(entry.Heard), 0)),
	}
}
