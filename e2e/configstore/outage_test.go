package configstore

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/backlot-video/backlot/e2e/internal/quorum"
	"github.com/backlot-video/backlot/kit/identity"
	"github.com/backlot-video/backlot/kit/informer"
	"github.com/backlot-video/backlot/kit/rpc"
)

// dialer reaches the members as services do that were told of all of them.
func dialer(members []*quorum.Member) *rpc.Dialer {
	var all []rpc.Endpoint
	for _, m := range members {
		all = append(all, rpc.Endpoint{Address: strings.TrimPrefix(m.URL, "http://")})
	}
	return rpc.NewDialer(rpc.ClientConfig{Resolver: rpc.Static(map[string][]rpc.Endpoint{"configstore": all})})
}

// words is an informer that keeps its last state in a file.
type words struct {
	*informer.Informer[*wrapperspb.StringValue]
	file string
}

// inform runs an informer until the test ends.
func inform(t *testing.T, q *quorum.Quorum, file string) *words {
	t.Helper()
	connections := dialer(q.Members)
	client, base := connections.HTTPClient("configstore")
	source := informer.NewRemote(client, base, q.As(identity.Service))
	w := &words{file: file, Informer: informer.New[*wrapperspb.StringValue](source, kind, informer.Config{
		SnapshotFile: file, SnapshotEvery: 50 * time.Millisecond, BackoffMax: time.Second, IdleTimeout: 20 * time.Second,
	})}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	var running sync.WaitGroup
	running.Go(func() { _ = w.Run(ctx) })
	t.Cleanup(func() {
		stop()
		running.Wait()
		if err := connections.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

// cells are what the informer holds.
func (w *words) cells() (cells [keys]cell) {
	for _, o := range w.List() {
		cells[int(o.Name[1]-'0')] = cell{strings.TrimRight(o.Spec.GetValue(), " "), o.Revision}
	}
	return cells
}

// outage kills all members. Who has an informer goes on with the last state,
// also who starts only now, from the file of the one before; when the members
// are back both catch up.
func (s *scene) outage(running *words) (late *words) {
	for _, m := range s.quorum.Members {
		m.Process.Kill() // all, before any disk loses its power
	}
	for _, m := range s.quorum.Members {
		m.Kill()
	}
	s.pass(hold) // the last state is written
	known := running.cells()
	saved, err := os.ReadFile(running.file)
	if err != nil {
		s.Fatal(err)
	}
	file := filepath.Join(s.TempDir(), "late")
	if err := os.WriteFile(file, saved, 0o600); err != nil {
		s.Fatal(err)
	}
	late = inform(s.T, s.quorum, file)
	ctx, cancel := context.WithTimeout(s.Context(), 30*time.Second)
	defer cancel()
	if err := late.WaitSynced(ctx); err != nil {
		s.Errorf("started from a file while all members are down: %v", err)
	}
	if got := late.cells(); got != known || got == [keys]cell{} {
		s.Errorf("started from a file: %v, the one that wrote it has %v", got, known)
	}
	for _, m := range s.quorum.Members {
		m.Start()
	}
	for _, m := range s.quorum.Members {
		m.Ready()
	}
	return late
}
