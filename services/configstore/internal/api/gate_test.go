package api

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/backlot-video/backlot/kit/identity"
	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	gatewayv1 "github.com/backlot-video/backlot/proto/gen/backlot/gateway/v1"
	"github.com/backlot-video/backlot/services/configstore/internal/access"
	"github.com/backlot-video/backlot/services/configstore/internal/engine"
	"github.com/backlot-video/backlot/services/configstore/internal/store"
)

// house is a store's services without a network.
type house struct {
	t       *testing.T
	config  *Config
	drafts  *Drafts
	members *Cluster
}

func newHouse(t *testing.T) *house {
	t.Helper()
	e, err := engine.Start(t.Context(), engine.Config{DataDir: filepath.Join(t.TempDir(), "etcd"), NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	s, err := store.Open(t.Context(), e, store.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return &house{t, NewConfig(s, false), NewDrafts(s, 1), NewCluster(e, s)}
}

func as(t *testing.T, id string) context.Context {
	return identity.With(t.Context(), identity.Principal{Kind: identity.Operator, ID: id, TenantID: identity.DefaultTenant})
}

func (h *house) put(kind, namespace, name string, spec proto.Message) *configstorev1.Change {
	h.t.Helper()
	packed, err := anypb.New(spec)
	if err != nil {
		h.t.Fatal(err)
	}
	return &configstorev1.Change{Change: &configstorev1.Change_Put{Put: &configstorev1.Object{
		Key: &configstorev1.Key{Kind: kind, Namespace: namespace, Name: name}, Spec: packed,
	}}}
}

func (h *house) grant(name string, grant *configstorev1.Grant) *configstorev1.Change {
	return h.put(access.Kind, "", name, grant)
}

func (h *house) cluster(namespace, name string) *configstorev1.Change {
	return h.put("Cluster", namespace, name, &gatewayv1.Cluster{Endpoints: &gatewayv1.Cluster_Service{Service: "one"}})
}

func (h *house) apply(who string, changes ...*configstorev1.Change) (*configstorev1.Release, error) {
	response, err := h.config.Apply(as(h.t, who), &configstorev1.ApplyRequest{Changes: changes})
	return response.GetRelease(), err
}

// expect compares the code of an error, 0 for none, and looks for a text in it.
func (h *house) expect(err error, code connect.Code, text string) {
	h.t.Helper()
	if (err == nil) != (code == 0) || err != nil && (connect.CodeOf(err) != code || !strings.Contains(err.Error(), text)) {
		h.t.Errorf("got %v, want %v %q", err, code, text)
	}
}

func TestOperatorsDoWhatGrantsAllow(t *testing.T) {
	h := newHouse(t)
	_, err := h.apply("anybody", h.cluster("shop", "a"), h.cluster("", "a"))
	h.expect(err, 0, "")
	_, err = h.apply("root", h.grant("root", &configstorev1.Grant{Subjects: []string{"operator/nobody"}, Verbs: []access.Verb{access.Write}}))
	h.expect(err, connect.CodeFailedPrecondition, "operator/root could not change grants any more")
	_, err = h.apply("root",
		h.grant("root", &configstorev1.Grant{Subjects: []string{"operator/root"}, Verbs: []access.Verb{access.Read, access.Write, access.Cluster}}),
		h.grant("shop", &configstorev1.Grant{Subjects: []string{"operator/clerk"}, Verbs: []access.Verb{access.Read, access.Write}, Namespaces: []string{"shop"}}))
	h.expect(err, 0, "")

	clerk := as(t, "clerk")
	mixed, err := h.apply("clerk", h.cluster("shop", "b"), h.cluster("", "b"))
	h.expect(err, connect.CodePermissionDenied, "changes[1].put: operator/clerk may not write Cluster default/b")
	if mixed != nil {
		t.Error("half of it was released")
	}
	own, err := h.apply("clerk", h.cluster("shop", "b"))
	h.expect(err, 0, "")
	others, err := h.apply("root", h.cluster("", "c"))
	h.expect(err, 0, "")
	_, err = h.config.Get(clerk, &configstorev1.GetRequest{Key: &configstorev1.Key{Kind: "Cluster", Name: "a"}})
	h.expect(err, connect.CodePermissionDenied, "may not read")
	_, err = h.config.GetHistory(clerk, &configstorev1.GetHistoryRequest{Key: &configstorev1.Key{Kind: "Cluster", Name: "a"}})
	h.expect(err, connect.CodePermissionDenied, "may not read")
	listed, err := h.config.List(clerk, &configstorev1.ListRequest{Kind: "Cluster"})
	h.expect(err, 0, "")
	if len(listed.GetObjects()) != 2 {
		t.Errorf("clerk sees %v", listed.GetObjects())
	}
	releases, err := h.config.ListReleases(clerk, &configstorev1.ListReleasesRequest{})
	h.expect(err, 0, "")
	if len(releases.GetReleases()) != 2 || len(releases.GetReleases()[1].GetKeys()) != 1 {
		t.Errorf("clerk sees releases %v", releases.GetReleases())
	}
	_, err = h.config.Rollback(clerk, &configstorev1.RollbackRequest{What: &configstorev1.RollbackRequest_ReleaseId{ReleaseId: others.GetId()}})
	h.expect(err, connect.CodePermissionDenied, "may not write")
	undo := &configstorev1.RollbackRequest{What: &configstorev1.RollbackRequest_ReleaseId{ReleaseId: own.GetId()}, RequestId: uuid.NewString()}
	undone, err := h.config.Rollback(clerk, undo)
	h.expect(err, 0, "")
	again, err := h.config.Rollback(clerk, undo)
	h.expect(err, 0, "")
	if again.GetRelease().GetId() != undone.GetRelease().GetId() {
		t.Errorf("a rollback that is repeated became %v and %v", undone, again)
	}
	_, err = h.members.Defragment(clerk, &configstorev1.DefragmentRequest{})
	h.expect(err, connect.CodePermissionDenied, "look after members")
	_, err = h.members.Defragment(as(t, "root"), &configstorev1.DefragmentRequest{})
	h.expect(err, 0, "")

	service := identity.With(t.Context(), identity.Principal{Kind: identity.Service, ID: "rules", TenantID: identity.DefaultTenant})
	_, err = h.config.Apply(service, &configstorev1.ApplyRequest{Changes: []*configstorev1.Change{h.cluster("", "z")}})
	h.expect(err, 0, "")
}

func TestDraftersReviewersAndReleasersMayBeDifferentPeople(t *testing.T) {
	h := newHouse(t)
	_, err := h.apply("root",
		h.grant("root", &configstorev1.Grant{Subjects: []string{"operator/root"}, Verbs: []access.Verb{access.Read, access.Write}}),
		h.grant("drafters", &configstorev1.Grant{Subjects: []string{"operator/drafter"}, Verbs: []access.Verb{access.Draft, access.Read}}),
		h.grant("reviewers", &configstorev1.Grant{Subjects: []string{"operator/reviewer"}, Verbs: []access.Verb{access.Review}}))
	h.expect(err, 0, "")
	_, err = h.apply("drafter", h.cluster("", "a"))
	h.expect(err, connect.CodePermissionDenied, "may not write")
	made, err := h.drafts.CreateDraft(as(t, "drafter"), &configstorev1.CreateDraftRequest{Reason: "new", Changes: []*configstorev1.Change{h.cluster("", "a")}})
	h.expect(err, 0, "")
	id := made.GetDraft().GetId()
	_, err = h.drafts.ReviewDraft(as(t, "root"), &configstorev1.ReviewDraftRequest{Id: id, Approve: true})
	h.expect(err, connect.CodePermissionDenied, "may not review")
	_, err = h.drafts.ReleaseDraft(as(t, "root"), &configstorev1.ReleaseDraftRequest{Id: id})
	h.expect(err, connect.CodeFailedPrecondition, "0 of 1 have approved")
	_, err = h.drafts.ReviewDraft(as(t, "reviewer"), &configstorev1.ReviewDraftRequest{Id: id, Approve: true})
	h.expect(err, 0, "")
	_, err = h.drafts.ReleaseDraft(as(t, "drafter"), &configstorev1.ReleaseDraftRequest{Id: id})
	h.expect(err, connect.CodePermissionDenied, "may not write")
	_, err = h.drafts.DropDraft(as(t, "reviewer"), &configstorev1.DropDraftRequest{Id: id})
	h.expect(err, connect.CodePermissionDenied, "may not write")
	once := &configstorev1.ReleaseDraftRequest{Id: id, RequestId: uuid.NewString()}
	released, err := h.drafts.ReleaseDraft(as(t, "root"), once)
	h.expect(err, 0, "")
	again, err := h.drafts.ReleaseDraft(as(t, "root"), once)
	h.expect(err, 0, "")
	if again.GetRelease().GetId() != released.GetRelease().GetId() {
		t.Errorf("a draft that is released again became %v and %v", released, again)
	}
	_, err = h.drafts.ReleaseDraft(as(t, "drafter"), once)
	h.expect(err, connect.CodeAborted, "author")
	_, err = h.drafts.ReleaseDraft(as(t, "root"), &configstorev1.ReleaseDraftRequest{Id: id})
	h.expect(err, connect.CodeNotFound, "draft")
}

func TestWithApprovalsOperatorsReleaseByDraftsOnly(t *testing.T) {
	h := newHouse(t)
	h.config.reviewed = true
	_, err := h.apply("root", h.cluster("", "a"))
	h.expect(err, connect.CodeFailedPrecondition, "go through drafts")
	_, err = h.config.Apply(as(t, "root"), &configstorev1.ApplyRequest{Changes: []*configstorev1.Change{h.cluster("", "a")}, DryRun: true})
	h.expect(err, 0, "")
}
