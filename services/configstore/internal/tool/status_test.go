package tool

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	"github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1/configstorev1connect"
)

// hearing is a leader that hears of its follower in election times from one on.
type hearing struct {
	configstorev1connect.ClusterServiceClient
	began time.Time
	from  time.Duration
}

func (h *hearing) GetStatus(context.Context, *configstorev1.GetStatusRequest) (*configstorev1.GetStatusResponse, error) {
	active := time.Since(h.began) >= h.from
	return &configstorev1.GetStatusResponse{
		LeaderId: "1", Election: durationpb.New(time.Second),
		Members: []*configstorev1.Member{{Leader: true}, {Progress: &configstorev1.Member_Progress{Active: active}}},
	}, nil
}

func TestFollowerIsSilentIfItIsAfterAHeartbeatToo(t *testing.T) {
	for from, want := range map[time.Duration]bool{0: false, 100 * time.Millisecond: false, time.Minute: true} {
		synctest.Test(t, func(t *testing.T) {
			status, err := getStatus(t.Context(), &hearing{began: time.Now(), from: from})
			if err != nil || faulty(status) != want {
				t.Errorf("heard of after %v: faulty %v, want %v, %v", from, faulty(status), want, err)
			}
		})
	}
}
