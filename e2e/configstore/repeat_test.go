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
	done     int64
	repeats  *atomic.Int64 // of all writers
	written  *atomic.Int64 // of all writers
}

// run writes until ctx ends; what has begun is brought to its end.
func (w *writer) run(ctx context.Context, members []*quorum.Member) error {
	for ctx.Err() == nil {
		spec, err := anypb.New(wrapperspb.String(fmt.Sprint(w.done)))
		if err != nil {
			return err
		}
		request := &configstorev1.ApplyRequest{
			RequestId: uuid.NewString(), Reason: fmt.Sprint(w.key.GetName(), "-", w.done),
			Changes: []*configstorev1.Change{{
				ExpectedRevision: w.revision, Change: &configstorev1.Change_Put{Put: &configstorev1.Object{Key: w.key, Spec: spec}},
			}},
		}
		answer, err := w.insist(context.WithoutCancel(ctx), members, request)
		if err != nil {
			return fmt.Errorf("%s, write %d at revision %d: %w", w.key.GetName(), w.done, w.revision, err)
		}
		w.revision = answer.GetRelease().GetRevision()
		w.done++
		w.written.Add(1)
	}
	return nil
}

// insist repeats a request, at any member, for as long as it is not known
// what became of it.
func (w *writer) insist(ctx context.Context, members []*quorum.Member, request *configstorev1.ApplyRequest) (*configstorev1.ApplyResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		try, end := context.WithTimeout(ctx, patience)
		answer, err := members[w.random.IntN(len(members))].Objects.Apply(try, request)
		end()
		if err == nil || ctx.Err() != nil || !honest[connect.CodeOf(err)] {
			return answer, err
		}
		w.repeats.Add(1)
	}
}

// TestRepeatedReleasesMeetNoConflictWithThemselves kills the leader again and
// again while writers repeat what they have no answer to.
func TestRepeatedReleasesMeetNoConflictWithThemselves(t *testing.T) {
	const writers, kills = 8, 3
	seed := setting(t, "BACKLOT_SEED", 1)
	q, _ := members(t, seed)
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
		leader.Process.Kill()
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
