package api

import (
	"slices"

	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	"github.com/backlot-video/backlot/services/configstore/internal/object"
)

// shown is objects as callers see them: a secret's material leaves the store
// by xDS only. Others are passed as they are; none is changed.
func shown(objects []*configstorev1.Object) []*configstorev1.Object {
	if !slices.ContainsFunc(objects, isSecret) {
		return objects
	}
	all := slices.Clone(objects)
	for n, o := range all {
		all[n] = shownObject(o)
	}
	return all
}

func shownEvents(events []*configstorev1.Event) []*configstorev1.Event {
	if !slices.ContainsFunc(events, func(e *configstorev1.Event) bool { return isSecret(e.GetObject()) }) {
		return events
	}
	all := slices.Clone(events)
	for n, e := range all {
		if isSecret(e.GetObject()) {
			all[n] = &configstorev1.Event{Type: e.GetType(), Object: shownObject(e.GetObject())}
		}
	}
	return all
}

func isSecret(o *configstorev1.Object) bool { return o.GetKey().GetKind() == object.SecretKind }

func shownObject(o *configstorev1.Object) *configstorev1.Object {
	if !isSecret(o) || o.GetSpec() == nil {
		return o
	}
	redacted := &configstorev1.Object{
		Key: o.GetKey(), Labels: o.GetLabels(), Revision: o.GetRevision(), ReleaseId: o.GetReleaseId(), UpdatedAt: o.GetUpdatedAt(),
	}
	redacted.Spec = object.Redact(o.GetSpec())
	return redacted
}
