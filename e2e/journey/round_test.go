package journey

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"connectrpc.com/connect"

	"github.com/backlot-video/backlot/e2e/internal/client"
	"github.com/backlot-video/backlot/e2e/internal/cluster"
	moneyv1 "github.com/backlot-video/backlot/proto/gen/backlot/money/v1"
	settlementv1 "github.com/backlot-video/backlot/proto/gen/backlot/settlement/v1"
	storefrontv1 "github.com/backlot-video/backlot/proto/gen/backlot/storefront/v1"
	transcoderv1alpha1 "github.com/backlot-video/backlot/proto/gen/backlot/transcoder/v1alpha1"
)

// demoTime bounds one run of the demo, sideTime a journey beside it.
const (
	demoTime = 2 * time.Minute
	sideTime = 20 * time.Second
)

// round goes every way through Backlot once: the demo, a purchase that is
// cancelled, a file that is refused.
func round(ctx context.Context, node *cluster.Node, seconds int) error {
	_, err := node.Demo(ctx, demoTime, "--catalogue", "6", "--viewers", "12", "--seconds", strconv.Itoa(seconds))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, sideTime)
	defer cancel()
	for _, side := range []func(context.Context, *cluster.Node) error{buyWithoutMoney, uploadText} {
		if err := side(ctx, node); err != nil {
			return err
		}
	}
	return nil
}

// buyWithoutMoney is refused by settlement's Try, so that both branches are
// cancelled.
func buyWithoutMoney(ctx context.Context, node *cluster.Node) error {
	return buy(ctx, node, 0, storefrontv1.OrderState_ORDER_STATE_REFUSED, func(context.Context) error { return nil })
}

// buy makes a viewer with money, which orders a video; the order must end in a
// state. meanwhile is called again and again until then.
func buy(ctx context.Context, node *cluster.Node, minor int64, state storefrontv1.OrderState, meanwhile func(context.Context) error) error {
	viewer, err := client.SignUp(ctx, node.URL(), storefrontv1.Role_ROLE_VIEWER)
	if err != nil {
		return err
	}
	if minor > 0 {
		_, err := viewer.Ledger.TopUp(ctx, &settlementv1.TopUpRequest{
			Amount: &moneyv1.Money{Minor: minor, Currency: "USD"}, IdempotencyKey: "money",
		})
		if err != nil {
			return fmt.Errorf("top up: %w", err)
		}
	}
	videos, err := viewer.Catalogue.ListVideos(ctx, &storefrontv1.ListVideosRequest{PageSize: 1})
	if err != nil {
		return err
	}
	if len(videos.GetVideos()) == 0 {
		return errors.New("no video is published")
	}
	request := &storefrontv1.CreateOrderRequest{VideoId: videos.GetVideos()[0].GetId(), IdempotencyKey: "order"}
	order, err := await(ctx, func() (*storefrontv1.Order, bool, error) {
		response, err := viewer.Orders.CreateOrder(ctx, request)
		if connect.CodeOf(err) == connect.CodeUnavailable || connect.CodeOf(err) == connect.CodeDeadlineExceeded {
			err = nil // it goes on by itself
		}
		return response.GetOrder(), response.GetOrder().GetState() >= storefrontv1.OrderState_ORDER_STATE_PAID, errors.Join(err, meanwhile(ctx))
	})
	if err != nil {
		return fmt.Errorf("order with %d in the wallet: %w", minor, err)
	}
	if order.GetState() != state {
		return fmt.Errorf("order with %d in the wallet is %s, not %s: %s", minor, order.GetState(), state, order.GetProblem())
	}
	return nil
}

// uploadText offers a text for a video; the job fails and is cleaned up.
func uploadText(ctx context.Context, node *cluster.Node) error {
	creator, err := client.SignUp(ctx, node.URL(), storefrontv1.Role_ROLE_CREATOR)
	if err != nil {
		return err
	}
	job, err := refusedJob(ctx, creator, []byte(strings.Repeat("This is no video.\n", 100)))
	if err == nil && job.GetState() != transcoderv1alpha1.JobState_JOB_STATE_FAILED {
		err = fmt.Errorf("the job of a text is %s", job.GetState())
	}
	return err
}

// refusedJob uploads content for a new video and waits for its job's end.
func refusedJob(ctx context.Context, creator *client.Session, content []byte) (*transcoderv1alpha1.Job, error) {
	created, err := creator.Catalogue.CreateVideo(ctx, &storefrontv1.CreateVideoRequest{Title: "no video"})
	if err != nil {
		return nil, err
	}
	upload, err := creator.Upload(ctx, created.GetVideo().GetId(), "text.mp4", content)
	if err != nil {
		return nil, err
	}
	return await(ctx, func() (*transcoderv1alpha1.Job, bool, error) {
		found, err := creator.Transcoder.GetUpload(ctx, &transcoderv1alpha1.GetUploadRequest{UploadId: upload})
		if err != nil || found.GetUpload().GetJobId() == "" {
			return nil, false, err
		}
		job, err := creator.Transcoder.GetJob(ctx, &transcoderv1alpha1.GetJobRequest{JobId: found.GetUpload().GetJobId()})
		return job.GetJob(), job.GetJob().GetState() >= transcoderv1alpha1.JobState_JOB_STATE_SUCCEEDED, err
	})
}

// await repeats check until it is done, fails or ctx ends.
func await[T any](ctx context.Context, check func() (T, bool, error)) (T, error) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		value, done, err := check()
		if done || err != nil {
			return value, err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return value, ctx.Err()
		}
	}
}
