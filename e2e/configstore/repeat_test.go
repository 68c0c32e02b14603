package configstore

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/backlot-video/backlot/e2e/internal/quorum"
	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
)

// writer alone writes its object, each time at the revision that it wrote
// last: any conflict that it meets is with itself.
type writer struct {
	key      *configstorev1.Key
	random   *rand.Rand
	revision int64
	release  string // that it made last
	done     int64
	repeats  *atomic.Int64 // of all writers
	written  *atomic.Int64 // of all writers
}

// run writes until ctx ends, in turns by Apply, by a draft, and by taking that
// back; what has begun is brought to its end.
func (w *writer) run(ctx context.Context, members []*quorum.Member) error {
	for ctx.Err() == nil {
		ways := []func(context.Context, []*quorum.Member) (released, error){w.apply, w.draft, w.rollBack}
		answer, err := ways[w.done%int64(len(ways))](context.WithoutCancel(ctx), members)
		if err != nil {
			return fmt.Errorf("%s, write %d at revision %d: %w", w.key.GetName(), w.done, w.revision, err)
		}
		w.revision, w.release = answer.GetRelease().GetRevision(), answer.GetRelease().GetId()
		w.done++
		w.written.Add(1)
	}
	return nil
}

func (w *writer) apply(ctx context.Context, members []*quorum.Member) (released, error) {
	changes, err := w.changes()
	if err != nil {
		return nil, err
	}
	request := &configstorev1.ApplyRequest{RequestId: uuid.NewString(), Reason: fmt.Sprint(w.key.GetName(), "-", w.done), Changes: changes}
	return w.insistOnChanges(ctx, members, request)
}

// draft makes a draft, perhaps several for want of an answer, and releases the
// one that it was told of.
func (w *writer) draft(ctx context.Context, members []*quorum.Member) (released, error) {
	changes, err := w.changes()
	if err != nil {
		return nil, err
	}
	request := &configstorev1.ReleaseDraftRequest{RequestId: uuid.NewString()}
	return w.insist(ctx, members, func(ctx context.Context, m *quorum.Member) (released, error) {
		if request.GetId() == "" {
			made, err := m.Drafts.CreateDraft(ctx, &configstorev1.CreateDraftRequest{Reason: fmt.Sprint(w.key.GetName(), "-", w.done), Changes: changes})
			if err != nil {
				return nil, err
			}
			request.Id = made.GetDraft().GetId()
		}
		return m.Drafts.ReleaseDraft(ctx, request)
	})
}

func (w *writer) rollBack(ctx context.Context, members []*quorum.Member) (released, error) {
	request := &configstorev1.RollbackRequest{
		RequestId: uuid.NewString(), What: &configstorev1.RollbackRequest_ReleaseId{ReleaseId: w.release},
	}
	return w.insist(ctx, members, func(ctx context.Context, m *quorum.Member) (released, error) { return m.Objects.Rollback(ctx, request) })
}

func (w *writer) changes() ([]*configstorev1.Change, error) {
	spec, err := anypb.New(wrapperspb.String(fmt.Sprint(w.done)))
	return []*configstorev1.Change{{
		ExpectedRevision: w.revision, Change: &configstorev1.Change_Put{Put: &configstorev1.Object{Key: w.key, Spec: spec}},
	}}, err
}

func (w *writer) insistOnChanges(
	ctx context.Context, members []*quorum.Member, request *configstorev1.ApplyRequest,
) (released, error) {
	return w.insist(ctx, members, func(ctx context.Context, m *quorum.Member) (released, error) { return m.Objects.Apply(ctx, request) })
}

// released is any answer that tells of a release.
type released interface {
	GetRelease() *configstorev1.Release
	GetObjects() []*configstorev1.Object
}

// insist repeats a request, at any member, for as long as it is not known
// what became of it. Every fourth answer is lost on its way: dying members
// rarely carry out what they do not answer.
func (w *writer) insist(
	ctx context.Context, members []*quorum.Member, ask func(context.Context, *quorum.Member) (released, error),
) (released, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	lost := ""
	for {
		try, end := context.WithTimeout(ctx, patience)
		answer, err := ask(try, members[w.random.IntN(len(members))])
		end()
		switch {
		case err != nil && (ctx.Err() != nil || !honest[connect.CodeOf(err)]):
			return nil, err
		case err != nil: // again
		case lost == "" && w.random.IntN(4) == 0:
			lost = answer.GetRelease().GetId()
		case lost != "" && lost != answer.GetRelease().GetId():
			return nil, fmt.Errorf("release %s, and when asked again release %s", lost, answer.GetRelease().GetId())
		default:
			return answer, nil
		}
		w.repeats.Add(1)
	}
}

// TestRepeatedReleasesMeetNoConflictWithThemselves kills the leader again and
// again while writers repeat what they have no answer to.
func TestRepeatedReleasesMeetNoConflictWithThemselves(t *testing.T) {
	const writers, kills = 8, 3
	seed := setting(t, "BACKLOT_SEED", 1)
	q, _ := members(t, quorum.Config{Seed: seed, Small: true})
	var running sync.WaitGroup
	var repeats, written atomic.Int64
	writing, stop := context.WithCancel(t.Context())
	all := make([]*writer, writers)
	for n := range all {
		all[n] = &writer{
			key: &configstorev1.Key{Kind: kind, Name: fmt.Sprint("own", n)}, revision: -1,
			random: rand.New(rand.NewPCG(seed, uint64(n))), repeats: &repeats, written: &written,
		}
		running.Go(func() {
			if err := all[n].run(writing, q.Members); err != nil {
				t.Error(err)
			}
		})
	}
	for range kills {
		leader := q.Leader(q.Members...)
		leader.Kill()
		before := written.Load()
		q.Wait("writes without the leader", 30*time.Second, func() bool { return written.Load() >= before+enough || t.Failed() })
		leader.Start()
		leader.Ready()
	}
	stop()
	running.Wait()
	releases, err := releases(t.Context(), q.Members[0])
	if err != nil {
		t.Fatal(err)
	}
	if int64(len(releases)) != written.Load() {
		t.Errorf("%d releases of %d requests that were acknowledged", len(releases), written.Load())
	}
	if repeats.Load() == 0 {
		t.Error("nothing was repeated: the test shows nothing")
	}
	t.Logf("%d releases, %d requests repeated", written.Load(), repeats.Load())
}
