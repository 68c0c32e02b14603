package configstore

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/backlot-video/backlot/e2e/internal/quorum"
	"github.com/backlot-video/backlot/kit/identity"
	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	"github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1/configstorev1connect"
)

// instance is a process that tells one member what it made of a revision.
type instance struct {
	id       string
	revision int64
	reason   string // why it rejects the object; empty: it does not
}

func (i instance) tell(t *testing.T, q *quorum.Quorum, m *quorum.Member, sequence int64) {
	t.Helper()
	a := &configstorev1.Acknowledgement{Kind: kind, Revision: i.revision}
	if i.reason != "" {
		a.Rejected = []*configstorev1.Rejection{{Namespace: "default", Name: keyOf(0).GetName(), Revision: i.revision, Reason: i.reason}}
	}
	client := configstorev1connect.NewAcknowledgementServiceClient(http.DefaultClient, m.URL, q.As(identity.Service))
	_, err := client.Acknowledge(t.Context(), &configstorev1.AcknowledgeRequest{Report: &configstorev1.Report{
		Subscriber: &configstorev1.Subscriber{Id: i.id}, StartedAt: 1, Sequence: sequence, Kinds: []*configstorev1.Acknowledgement{a},
	}})
	if err != nil {
		t.Fatalf("%s at %s: %v", i.id, m.Name, err)
	}
}

// shows tells what a member shows of the kind, and who it could not ask; nil
// where it does not answer.
func shows(t *testing.T, q *quorum.Quorum, m *quorum.Member) (*configstorev1.KindRollout, []string) {
	t.Helper()
	client := configstorev1connect.NewAcknowledgementServiceClient(http.DefaultClient, m.URL, q.As(identity.Operator))
	response, err := client.GetRollout(t.Context(), &configstorev1.GetRolloutRequest{Kind: kind})
	if err != nil || len(response.GetKinds()) != 1 {
		return nil, nil
	}
	return response.GetKinds()[0], response.GetSilentMembers()
}

// TestEveryMemberShowsAllInstances has instances report to one member each: any
// of them shows all, and says which member it could not ask.
func TestEveryMemberShowsAllInstances(t *testing.T) {
	q, _ := members(t, quorum.Config{Seed: 1, Small: true})
	defer http.DefaultClient.CloseIdleConnections()
	written, err := q.Members[0].Objects.Apply(t.Context(), requestOf(input{writes: []write{{key: 0, value: "one"}}}))
	if err != nil {
		t.Fatal(err)
	}
	revision := written.GetRelease().GetRevision()
	all := []instance{{"well", revision, ""}, {"refuses", revision, "the word is too long"}, {"late", revision - 1, ""}}
	for n, i := range all {
		i.tell(t, q, q.Members[n], 1)
	}
	whole := func(m *quorum.Member) bool {
		rollout, silent := shows(t, q, m)
		return len(silent) == 0 && rollout.GetRevision() == revision && rollout.GetInstances() == 3 && rollout.GetRejected() == 1 &&
			rollout.GetBehind() == 1 && slices.ContainsFunc(rollout.GetDetails(), func(d *configstorev1.InstanceRollout) bool {
			return d.GetSubscriber().GetId() == "refuses" && len(d.GetRejected()) == 1 && d.GetRejected()[0].GetReason() == "the word is too long"
		})
	}
	for _, m := range q.Members { // members find each other by the register
		q.Wait("all instances at "+m.Name, 30*time.Second, func() bool { return whole(m) })
	}

	gone := q.Members[2]
	gone.Process.Kill()
	for _, m := range q.Others(gone) {
		q.Wait(m.Name+" without the member that was killed", 30*time.Second, func() bool {
			rollout, silent := shows(t, q, m)
			return rollout.GetInstances() == 2 && rollout.GetRejected() == 1 && len(silent) == 1
		})
	}
	all[2].tell(t, q, q.Members[0], 2) // to the next member
	for _, m := range q.Others(gone) {
		q.Wait(m.Name+" with the instance that went to another", 30*time.Second, func() bool {
			rollout, _ := shows(t, q, m)
			return rollout.GetInstances() == 3
		})
	}
	gone.Start()
	gone.Ready()
	for _, m := range q.Members {
		q.Wait("all instances at "+m.Name+" again", 30*time.Second, func() bool { return whole(m) })
	}
}
