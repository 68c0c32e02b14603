package api

import (
	"slices"

	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	"github.com/backlot-video/backlot/services/configstore/internal/store"
)

// shower gives objects as callers see them: what is secret leaves the store by
// xDS only. What has no secret is passed as it is; nothing is changed.
type shower struct{ store *store.Store }

func (s shower) objects(objects []*configstorev1.Object) []*configstorev1.Object {
	if !slices.ContainsFunc(objects, s.isSecret) {
		return objects
	}
	all := slices.Clone(objects)
	for n, o := range all {
		all[n] = s.object(o)
	}
	return all
}

func (s shower) events(events []*configstorev1.Event) []*configstorev1.Event {
	if !slices.ContainsFunc(events, func(e *configstorev1.Event) bool { return s.isSecret(e.GetObject()) }) {
		return events
	}
	all := slices.Clone(events)
	for n, e := range all {
		if s.isSecret(e.GetObject()) {
			all[n] = &configstorev1.Event{Type: e.GetType(), Object: s.object(e.GetObject())}
		}
	}
	return all
}

func (s shower) isSecret(o *configstorev1.Object) bool {
	return o.GetSpec() != nil && s.store.IsSecret(o.GetKey().GetKind())
}

func (s shower) object(o *configstorev1.Object) *configstorev1.Object {
	if !s.isSecret(o) {
		return o
	}
	return &configstorev1.Object{
		Key: o.GetKey(), Labels: o.GetLabels(), Revision: o.GetRevision(), ReleaseId: o.GetReleaseId(), UpdatedAt: o.GetUpdatedAt(),
		Spec: s.store.Redact(o.GetKey().GetKind(), o.GetSpec()),
	}
}

// draft changes the draft, which is the caller's own.
func (s shower) draft(draft *configstorev1.Draft) *configstorev1.Draft {
	for _, change := range draft.GetChanges() {
		if put := change.GetPut(); s.isSecret(put) {
			change.Change = &configstorev1.Change_Put{Put: s.object(put)}
		}
	}
	return draft
}
