package configstore

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/backlot-video/backlot/e2e/internal/quorum"
	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	gatewayv1 "github.com/backlot-video/backlot/proto/gen/backlot/gateway/v1"
)

// secrets are written by one writer each, who remembers what readers are shown
// of the last: the digest of what it is.
const secrets = 64

// keeper writes some of the secrets, until its context ends.
type keeper struct {
	writer
	shown map[string]string // by name
}

// put is one secret with a text of its own.
func (k *keeper) put(ctx context.Context, members []*quorum.Member, name string) error {
	spec, err := anypb.New(&gatewayv1.Secret{Material: &gatewayv1.Secret_Jwks{Jwks: &gatewayv1.Material{
		Source: &gatewayv1.Material_Inline{Inline: fmt.Sprintf(`{"keys":[{"kty":"oct","k":"%s-%d"}]}`, name, k.done)},
	}}})
	if err != nil {
		return err
	}
	answer, err := k.insistOnChanges(ctx, members, &configstorev1.ApplyRequest{
		RequestId: uuid.NewString(), Reason: fmt.Sprint(name, "-", k.done),
		Changes: []*configstorev1.Change{{Change: &configstorev1.Change_Put{Put: &configstorev1.Object{
			Key: &configstorev1.Key{Kind: "Secret", Name: name}, Spec: spec,
		}}}},
	})
	if err != nil {
		return fmt.Errorf("put %s: %w", name, err)
	}
	k.done++
	k.written.Add(1)
	k.shown[name] = digest(answer.GetObjects()[0])
	return nil
}

func digest(o *configstorev1.Object) string {
	spec := new(gatewayv1.Secret)
	if err := o.GetSpec().UnmarshalTo(spec); err != nil {
		return err.Error()
	}
	return spec.GetJwks().GetInline()
}

// expect has every member show every secret as it was written last.
func expect(t *testing.T, q *quorum.Quorum, when string, shown map[string]string) {
	t.Helper()
	for _, m := range q.Members {
		list, err := m.Objects.List(t.Context(), &configstorev1.ListRequest{Kind: "Secret"})
		if err != nil || len(list.GetObjects()) != len(shown) {
			t.Errorf("%s: %s has %d secrets of %d, %v", when, m.Name, len(list.GetObjects()), len(shown), err)
		}
		for _, o := range list.GetObjects() {
			if name := o.GetKey().GetName(); o.GetUnreadable() || digest(o) != shown[name] {
				t.Errorf("%s: %s shows %s as %q (unreadable: %v), want %q", when, m.Name, name, digest(o), o.GetUnreadable(), shown[name])
			}
		}
	}
}

// restart kills the members one after the other and has each come back.
func restart(q *quorum.Quorum) {
	for _, m := range q.Members {
		m.Kill()
		m.Start()
		m.Ready()
		q.Whole()
	}
}

// TestSecretsStayReadableWhileTheirKeyIsReplaced gives three members another
// key while secrets are written, kills one of them in the midst of encrypting
// anew, and takes the old key away in the end.
func TestSecretsStayReadableWhileTheirKeyIsReplaced(t *testing.T) {
	const keepers = 4
	seed := setting(t, "BACKLOT_SEED", 1)
	q, _ := members(t, quorum.Config{Seed: seed, Small: true})
	var written, repeats atomic.Int64
	all := make([]*keeper, keepers)
	for n := range all {
		all[n] = &keeper{shown: map[string]string{}, writer: writer{
			random: rand.New(rand.NewPCG(seed, uint64(n))), repeats: &repeats, written: &written,
		}}
	}
	writing, stop := context.WithCancel(t.Context())
	var running, first sync.WaitGroup
	first.Add(keepers)
	for n, k := range all {
		running.Go(func() {
			ready := sync.OnceFunc(first.Done)
			defer ready()
			for at := n; writing.Err() == nil; at += keepers {
				if at >= secrets {
					ready() // all of its secrets are there
					at = n
				}
				if err := k.put(context.WithoutCancel(writing), q.Members, fmt.Sprint("s", at)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	first.Wait()
	q.AddKey()
	restart(q)

	midst := make(chan struct{})
	begun := sync.OnceFunc(func() { close(midst) })
	running.Go(func() {
		<-midst
		m := q.Others(q.Members[0])[0]
		m.Kill()
		m.Start()
		m.Ready()
	})
	var made *configstorev1.RekeyResponse
	q.Wait("everything to be under the new key", time.Minute, func() bool {
		var err error
		made, err = q.Members[0].Rekey(t.Context(), begun)
		if err != nil {
			t.Logf("rekey: %v", err)
		}
		return err == nil && made.GetFinished()
	})
	begun() // there may have been nothing left to do
	before := written.Load()
	q.Wait("more writes", 30*time.Second, func() bool { return written.Load() >= before+enough || t.Failed() })
	stop()
	running.Wait()
	q.Whole()
	shown := map[string]string{}
	for _, k := range all {
		for name, text := range k.shown {
			shown[name] = text
		}
	}
	expect(t, q, "with both keys", shown)
	q.DropOldKeys()
	restart(q)
	expect(t, q, "with the new key alone", shown)
	t.Logf("%d writes, %d repeated, %d of %d encrypted anew", written.Load(), repeats.Load(), made.GetDone(), made.GetTotal())
}
