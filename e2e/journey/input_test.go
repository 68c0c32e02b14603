package journey

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/backlot-video/backlot/e2e/internal/client"
	"github.com/backlot-video/backlot/e2e/internal/cluster"
	"github.com/backlot-video/backlot/kit/identity"
	"github.com/backlot-video/backlot/kit/token"
	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	moneyv1 "github.com/backlot-video/backlot/proto/gen/backlot/money/v1"
	rulesv1 "github.com/backlot-video/backlot/proto/gen/backlot/rules/v1"
	storefrontv1 "github.com/backlot-video/backlot/proto/gen/backlot/storefront/v1"
	transcoderv1alpha1 "github.com/backlot-video/backlot/proto/gen/backlot/transcoder/v1alpha1"
)

func TestBadInputIsRefusedClearlyAndLeavesNothing(t *testing.T) {
	node := cluster.NewNode(t, cluster.Race)
	up := node.Up("--transcoder.max-upload", "1MiB")
	if _, err := node.Demo(t.Context(), demoTime, "--catalogue", "0"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	creator, err := client.SignUp(ctx, node.URL(), storefrontv1.Role_ROLE_CREATOR)
	if err != nil {
		t.Fatal(err)
	}
	operator, err := client.Operator(ctx, node.URL(), node.OperatorKey())
	if err != nil {
		t.Fatal(err)
	}
	media := files(t, filepath.Join(node.Dir, "blob"))

	t.Run("text named mp4", func(t *testing.T) {
		job, err := refusedJob(ctx, creator, []byte("This is no video.\n"))
		if err != nil {
			t.Fatal(err)
		}
		if job.GetState() != transcoderv1alpha1.JobState_JOB_STATE_FAILED || job.GetProblem() == "" {
			t.Errorf("job is %s: %q", job.GetState(), job.GetProblem())
		}
		t.Log(job.GetProblem())
		video, err := await(ctx, func() (*storefrontv1.Video, bool, error) {
			response, err := creator.Catalogue.GetVideo(ctx, &storefrontv1.GetVideoRequest{VideoId: job.GetVideoId()})
			return response.GetVideo(), response.GetVideo().GetProblem() != "", err
		})
		if err != nil || video.GetState() >= storefrontv1.VideoState_VIDEO_STATE_READY {
			t.Errorf("the video is %s: %v", video.GetState(), err)
		}
		_, err = creator.Catalogue.PublishVideo(ctx, &storefrontv1.PublishVideoRequest{
			VideoId: job.GetVideoId(), Prices: []*moneyv1.Money{{Minor: 100, Currency: "USD"}},
		})
		wantError(t, err, connect.CodeFailedPrecondition, "")
	})
	t.Run("uploads", func(t *testing.T) { badUploads(ctx, t, creator) })
	t.Run("prices", func(t *testing.T) { badPrices(ctx, t, node) })
	t.Run("tokens", func(t *testing.T) { badTokens(ctx, t, node, creator) })
	t.Run("rules", func(t *testing.T) { badRules(ctx, t, operator) })

	_, err = await(ctx, func() (struct{}, bool, error) {
		return struct{}{}, len(files(t, filepath.Join(node.Dir, "transcoder", "uploads"))) == 0, nil
	})
	if err != nil {
		t.Errorf("left of uploads: %q", files(t, filepath.Join(node.Dir, "transcoder", "uploads")))
	}
	if left := files(t, filepath.Join(node.Dir, "blob")); len(left) != len(media) {
		t.Errorf("media files were %q, are %q", media, left)
	}
	verify(t, node, up.PID())
}

func TestWithoutFFmpegUploadsAreRefusedAndTheRestServes(t *testing.T) {
	node := cluster.NewNode(t, cluster.Race)
	up := node.Start(nil, []string{"PATH=" + t.TempDir()})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	creator, err := await(ctx, func() (*client.Session, bool, error) {
		session, err := client.SignUp(ctx, node.URL(), storefrontv1.Role_ROLE_CREATOR)
		return session, err == nil, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if log := up.Log(); !strings.Contains(log, "ffmpeg is not installed") || !strings.Contains(log, "--transcoder.ffmpeg") {
		t.Errorf("what is missing is not in the log:\n%s", log)
	}
	created, err := creator.Catalogue.CreateVideo(ctx, &storefrontv1.CreateVideoRequest{Title: "no FFmpeg"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = creator.CreateUpload(ctx, created.GetVideo().GetId(), "x.mp4", 100)
	var refused *client.RefusedError
	if !errors.As(err, &refused) || refused.Status != 503 || !strings.Contains(strings.ToLower(refused.Text), "ffmpeg") {
		t.Errorf("an upload gave %v, want 503 that names FFmpeg", err)
	}
	t.Log(err)
	if left := files(t, filepath.Join(node.Dir, "transcoder", "uploads")); len(left) != 0 {
		t.Errorf("left of uploads: %q", left)
	}
}

func badUploads(ctx context.Context, t *testing.T, creator *client.Session) {
	created, err := creator.Catalogue.CreateVideo(ctx, &storefrontv1.CreateVideoRequest{Title: "nothing"})
	if err != nil {
		t.Fatal(err)
	}
	video := created.GetVideo().GetId()
	for _, test := range []struct {
		name, video string
		size        int64
		status      int
		says        string
	}{
		{"empty", video, 0, 400, "empty"},
		{"over the limit", video, 1<<20 + 1, 413, ""},
		{"unknown video", "01900000-0000-7000-8000-000000000000", 100, 404, "video"},
		{"no video", "", 100, 400, "video_id"},
	} {
		_, err := creator.CreateUpload(ctx, test.video, "x.mp4", test.size)
		var refused *client.RefusedError
		if !errors.As(err, &refused) || refused.Status != test.status || !strings.Contains(refused.Text, test.says) {
			t.Errorf("%s: %v, want %d with %q", test.name, err, test.status, test.says)
			continue
		}
		t.Logf("%s: %v", test.name, err)
	}
}

func badPrices(ctx context.Context, t *testing.T, node *cluster.Node) {
	videos, err := client.New(node.URL(), "").Catalogue.ListVideos(ctx, &storefrontv1.ListVideosRequest{})
	if err != nil || len(videos.GetVideos()) == 0 {
		t.Fatalf("no video is published: %v", err)
	}
	video := videos.GetVideos()[0]
	operator, err := client.Operator(ctx, node.URL(), node.OperatorKey())
	if err != nil {
		t.Fatal(err)
	}
	for name, prices := range map[string][]*moneyv1.Money{
		"below zero":     {{Minor: -1, Currency: "USD"}},
		"two currencies": {{Minor: 100, Currency: "USD"}, {Minor: 100, Currency: "EUR"}},
		"no currency":    {{Minor: 100}},
		"none":           nil,
	} {
		_, err := operator.Catalogue.PublishVideo(ctx, &storefrontv1.PublishVideoRequest{VideoId: video.GetId(), Prices: prices})
		t.Logf("%s: %v", name, err)
		wantError(t, err, connect.CodeInvalidArgument, "price")
	}
	after, err := operator.Catalogue.GetVideo(ctx, &storefrontv1.GetVideoRequest{VideoId: video.GetId()})
	if err != nil || after.GetVideo().GetPrice().GetMinor() != video.GetPrice().GetMinor() {
		t.Errorf("the price is %v now: %v", after.GetVideo().GetPrice(), err)
	}
	viewer, err := client.SignUp(ctx, node.URL(), storefrontv1.Role_ROLE_VIEWER)
	if err != nil {
		t.Fatal(err)
	}
	_, err = viewer.Orders.CreateOrder(ctx, &storefrontv1.CreateOrderRequest{
		VideoId: "01900000-0000-7000-8000-000000000000", IdempotencyKey: "x",
	})
	wantError(t, err, connect.CodeNotFound, "video")
	orders, err := viewer.Orders.ListOrders(ctx, &storefrontv1.ListOrdersRequest{})
	if err != nil || len(orders.GetOrders()) != 0 {
		t.Errorf("orders are left: %v, %v", orders.GetOrders(), err)
	}
}

// badTokens changes a good token in each of its parts, and has one signed with
// the right key that has expired.
func badTokens(ctx context.Context, t *testing.T, node *cluster.Node, creator *client.Session) {
	parts := strings.Split(creator.Token, ".")
	if len(parts) != 3 {
		t.Fatalf("a token has %d parts", len(parts))
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	claims := map[string]any{}
	if err := json.Unmarshal(payload, &claims); err != nil {
		t.Fatal(err)
	}
	encode := func(part map[string]any) string {
		text, err := json.Marshal(part)
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(text)
	}
	claims["exp"] = time.Now().Add(999 * time.Hour).Unix()
	anHourAgo := func() time.Time { return time.Now().Add(-time.Hour) }
	signer, err := token.OpenSigner(filepath.Join(node.Dir, "storefront", "token.key"), "backlot", anHourAgo)
	if err != nil {
		t.Fatal(err)
	}
	expired, err := signer.Token(identity.Principal{
		Kind: identity.Creator, ID: creator.Account.GetId(), TenantID: "main", Expires: time.Now().Add(-time.Minute),
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"expired":       expired,
		"other claims":  parts[0] + "." + encode(claims) + "." + parts[2],
		"no signature":  encode(map[string]any{"alg": "none"}) + "." + parts[1] + ".",
		"other letters": "not a token",
	} {
		_, err := client.New(creator.Gateway, text).Accounts.GetAccount(ctx, &storefrontv1.GetAccountRequest{})
		t.Logf("%s: %v", name, err)
		says := "token"
		if name == "expired" {
			says = name
		}
		wantError(t, err, connect.CodeUnauthenticated, says)
	}
	_, err = client.New(creator.Gateway, "").Catalogue.CreateVideo(ctx, &storefrontv1.CreateVideoRequest{Title: "x"})
	if code := connect.CodeOf(err); code != connect.CodeUnauthenticated && code != connect.CodePermissionDenied {
		t.Errorf("without a token: %v", err)
	}
}

func badRules(ctx context.Context, t *testing.T, operator *client.Session) {
	ruleset := &rulesv1.Ruleset{FactType: "backlot.rules.v1.PaymentFact", Source: "rule ok\n  when amount > 1 USD and nonsense == 2\n  then deny\n"}
	checked, err := operator.Rules.Check(ctx, &rulesv1.CheckRequest{FactType: ruleset.GetFactType(), Source: ruleset.GetSource()})
	if err != nil || len(checked.GetDiagnostics()) == 0 {
		t.Fatalf("no diagnostic: %v", err)
	}
	first := checked.GetDiagnostics()[0]
	t.Logf("%d:%d %s", first.GetLine(), first.GetColumn(), first.GetRendered())
	if first.GetLine() != 2 || first.GetColumn() == 0 || first.GetMessage() == "" {
		t.Errorf("diagnostic %v, want line 2", first)
	}
	before, err := operator.Rules.ListRulesets(ctx, &rulesv1.ListRulesetsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	spec, err := anypb.New(ruleset)
	if err != nil {
		t.Fatal(err)
	}
	_, err = operator.Config.Apply(ctx, &configstorev1.ApplyRequest{Reason: "bad rule", Changes: []*configstorev1.Change{{
		Change: &configstorev1.Change_Put{Put: &configstorev1.Object{Key: &configstorev1.Key{Kind: "Ruleset", Name: "payments"}, Spec: spec}},
	}}})
	if err != nil { // refused at once is as good
		return
	}
	status, err := await(ctx, func() (*rulesv1.RulesetStatus, bool, error) {
		listed, err := operator.Rules.ListRulesets(ctx, &rulesv1.ListRulesetsRequest{})
		for _, status := range listed.GetRulesets() {
			if status.GetName() == "payments" {
				return status, status.GetRejected() != "", err
			}
		}
		return nil, false, err
	})
	if err != nil || !strings.Contains(status.GetRejected(), "2:") {
		t.Fatalf("the rule was not rejected with its place: %v, %v", status, err)
	}
	if last := before.GetRulesets()[0].GetVersion(); status.GetVersion() != last {
		t.Errorf("version %s is in force, want the last good %s", status.GetVersion(), last)
	}
}

func wantError(t *testing.T, err error, code connect.Code, says string) {
	t.Helper()
	if connect.CodeOf(err) != code || !strings.Contains(err.Error(), says) {
		t.Errorf("got %v, want %s with %q", err, code, says)
	}
}

// files are those below a folder.
func files(t *testing.T, dir string) (found []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil && !entry.IsDir() {
			found = append(found, path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	return found
}

func TestStartThatCannotWorkSaysWhy(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = busy.Close() }()
	taken := busy.Addr().String()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		args, says []string
	}{
		"busy public port":     {[]string{"--gateway.listen", taken}, []string{taken, "--gateway.listen"}},
		"busy operations port": {[]string{"--ops-listen", taken}, []string{taken, "--ops-listen"}},
		"data under a file":    {[]string{"--data-dir", filepath.Join(file, "data")}, []string{file, "--data-dir"}},
		"read-only data":       {[]string{"--data-dir", "/proc/backlot"}, []string{"/proc/backlot", "--data-dir"}},
		"unknown flag":         {[]string{"--gateway.lisen", taken}, []string{"gateway.lisen", "gateway.listen"}},
		"many faults":          {[]string{"--trace-ratio", "7", "--coordinator.attempts", "0"}, []string{"trace-ratio", "coordinator.attempts"}},
	} {
		t.Run(name, func(t *testing.T) {
			node := cluster.NewNode(t, cluster.Race)
			p := node.Start(test.args, nil)
			select {
			case <-p.Ended():
			case <-time.After(time.Minute):
				t.Fatalf("it runs on:\n%s", p.Tail())
			}
			lines := strings.Split(strings.TrimSpace(p.Log()), "\n")
			last := lines[len(lines)-1]
			t.Log(last)
			if p.ExitCode() <= 0 {
				t.Errorf("exit code is %d", p.ExitCode())
			}
			for _, part := range test.says {
				if !strings.Contains(p.Log(), part) {
					t.Errorf("%q is not in what it says:\n%s", part, p.Tail())
				}
			}
		})
	}
}
