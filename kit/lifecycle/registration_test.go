package lifecycle

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"

	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	"github.com/backlot-video/backlot/proto/rpcdesc"
)

// registry notes what it is told, and when.
type registry struct {
	since time.Time
	told  []string
}

// Call implements rpcdesc.Conn.
func (r *registry) Call(_ context.Context, _ *rpcdesc.Method, request, _ proto.Message) error {
	what := "gone"
	if register, ok := request.(*configstorev1.RegisterRequest); ok {
		what = fmt.Sprintf("ready %v", register.GetInstance().GetReady())
	}
	r.told = append(r.told, fmt.Sprintf("%v %s", time.Since(r.since), what))
	return nil
}

// TestInstanceThatEndsIsDrainedFirst follows one from its start.
func TestInstanceThatEndsIsDrainedFirst(t *testing.T) {
	for name, c := range map[string]struct {
		drain time.Duration
		gone  bool
		want  []string
	}{
		"drained":                     {500 * time.Millisecond, true, []string{"0s ready true", "5s ready true", "6s ready false", "6.5s gone"}},
		"nobody calls from outside":   {0, true, []string{"0s ready true", "5s ready true", "6s gone"}},
		"goes on in another process":  {500 * time.Millisecond, false, []string{"0s ready true", "5s ready true"}},
		"longer than the stop's time": {time.Hour, true, []string{"0s ready true", "5s ready true", "6s ready false", "16s gone"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				told := &registry{since: time.Now()}
				ctx, cancel := context.WithCancel(t.Context())
				r := &registration{
					client: configstorev1.NewRegistryServiceClient(told), host: &Host{Log: slog.New(slog.DiscardHandler)}, cancel: cancel, drainTime: c.drain,
					request: &configstorev1.RegisterRequest{Instance: &configstorev1.Instance{Id: "i", Ready: true}},
				}
				r.done.Go(func() { r.keep(ctx) })
				time.Sleep(6 * time.Second)
				limit, done := context.WithTimeout(t.Context(), 10*time.Second)
				defer done()
				if c.gone {
					sayGoodbye(limit, []*registration{r})
				}
				r.end(limit, c.gone)
				if !slices.Equal(told.told, c.want) {
					t.Errorf("%q, want %q", told.told, c.want)
				}
			})
		})
	}
}
