package tool

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/backlot-video/backlot/kit/testport"
	"github.com/backlot-video/backlot/kit/tool"
	"github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1/configstorev1connect"
	storefrontv1 "github.com/backlot-video/backlot/proto/gen/backlot/storefront/v1"
	"github.com/backlot-video/backlot/proto/gen/backlot/storefront/v1/storefrontv1connect"
	"github.com/backlot-video/backlot/services/configstore/internal/ack"
	"github.com/backlot-video/backlot/services/configstore/internal/api"
	"github.com/backlot-video/backlot/services/configstore/internal/canary"
	"github.com/backlot-video/backlot/services/configstore/internal/engine"
	"github.com/backlot-video/backlot/services/configstore/internal/seal"
	objectstore "github.com/backlot-video/backlot/services/configstore/internal/store"
)

// What the tool reads from its input, and the editor that it opens.
var fromInput, editor string

// reportTo is where the instances of the newest house report to.
var reportTo configstorev1connect.AcknowledgementServiceClient

// gate lets everybody in as operator.
type gate struct {
	storefrontv1connect.UnimplementedAccountServiceHandler
}

func (gate) SignIn(context.Context, *storefrontv1.SignInRequest) (*storefrontv1.SignInResponse, error) {
	return &storefrontv1.SignInResponse{Token: &storefrontv1.Token{AccessToken: "token"}}, nil
}

// house is a member behind a gateway, and the tool beside it.
func house(t *testing.T) (e *engine.Engine, run func(args ...string) (code int, out, errs string)) {
	t.Helper()
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "storefront"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "storefront", "operator.key"), []byte("key"), 0o600); err != nil {
		t.Fatal(err)
	}
	address := testport.Address(t)
	e, err := engine.Start(t.Context(), engine.Config{
		DataDir: filepath.Join(t.TempDir(), "etcd"), NoSync: true, Cluster: engine.Cluster{Name: "a", PeerListen: address},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	mux := http.NewServeMux()
	mux.Handle(storefrontv1connect.NewAccountServiceHandler(gate{}))
	keys, err := seal.Make(filepath.Join(dir, "secret.key"))
	if err != nil {
		t.Fatal(err)
	}
	objects, err := objectstore.Open(t.Context(), e, objectstore.Config{Keys: keys})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(objects.Close)
	mux.Handle(configstorev1connect.NewClusterServiceHandler(api.NewCluster(e, objects)))
	mux.Handle(configstorev1connect.NewConfigServiceHandler(api.NewConfig(objects, false)))
	mux.Handle(configstorev1connect.NewDraftServiceHandler(api.NewDrafts(objects, 0)))
	book := ack.NewBook(time.Now, nil)
	seen := api.Witness{Book: book, Clock: time.Now}
	desk := api.NewAcknowledgements(objects, seen)
	pilot := canary.NewPilot(canary.Config{Store: objects, Leads: e.Leads, Reports: seen.Entries, Clock: time.Now, Log: slog.New(slog.DiscardHandler)})
	mux.Handle(configstorev1connect.NewCanaryServiceHandler(api.NewCanaries(objects, pilot, 0)))
	mux.Handle(configstorev1connect.NewAcknowledgementServiceHandler(desk))
	server := httptest.NewServer(mux)
	reportTo = configstorev1connect.NewAcknowledgementServiceClient(server.Client(), server.URL)
	t.Cleanup(server.Close)
	return e, func(args ...string) (int, string, string) {
		var out, errs bytes.Buffer
		verbs := Verbs()
		if args[0] == "config" {
			args, verbs = args[1:], ConfigVerbs()
		}
		std := &tool.Stdio{
			Out: &out, Err: &errs, Program: "backlot configstore", About: About, In: strings.NewReader(fromInput),
			Environ: []string{"EDITOR=" + editor},
		}
		if args[0] != "restore" && args[0] != "key" {
			args = append(args, "--gateway", server.URL, "--data-dir", dir)
		}
		code := tool.Main(t.Context(), args, verbs, std)
		return code, out.String(), errs.String()
	}
}

func TestStatusShowsMembersAndDoctorRecommends(t *testing.T) {
	_, run := house(t)
	if code, out, errs := run("status"); code != tool.ExitOK || !strings.Contains(out, "leader *") || !strings.Contains(out, "quota 2048") {
		t.Errorf("status: %d\n%s%s", code, out, errs)
	}
	code, out, errs := run("doctor", "--duration", "1s")
	if code == tool.ExitUsage || !strings.Contains(out, "write to the disk") || !strings.Contains(out, "recommended profile: ") {
		t.Errorf("doctor: %d\n%s%s", code, out, errs)
	}
	if code, _, errs := run("doctor", "--duration", "1ms"); code != tool.ExitUsage || !strings.Contains(errs, "duration") {
		t.Errorf("doctor of a millisecond: %d %s", code, errs)
	}
}

func TestMemberAddPrintsWhatTheNewOneNeedsAndRemoveTakesItBack(t *testing.T) {
	_, run := house(t)
	code, out, errs := run("member", "add", "b", "http://127.0.0.1:9")
	if code != tool.ExitOK || !strings.Contains(out, "--configstore.member b --configstore.join") || !strings.Contains(out, "a=http://127.0.0.1:") {
		t.Fatalf("add: %d\n%s%s", code, out, errs)
	}
	if code, _, errs := run("member", "add", "c", "http://127.0.0.1:10"); code != tool.ExitUsage || !strings.Contains(errs, "has not started yet") {
		t.Errorf("another: %d %s", code, errs)
	}
	if _, out, _ := run("status"); !strings.Contains(out, "(not started)") || !strings.Contains(out, "learner") {
		t.Errorf("status:\n%s", out)
	}
	_, rest, _ := strings.Cut(out, "may join as ")
	id, _, _ := strings.Cut(rest, ";")
	if code, out, errs := run("member", "remove", id); code != tool.ExitOK {
		t.Errorf("remove %q: %d\n%s%s", id, code, out, errs)
	}
	if code, _, errs := run("member", "remove", "nobody"); code != tool.ExitUsage || !strings.Contains(errs, `"nobody" is not known; there are a as `) {
		t.Errorf("remove nobody: %d %s", code, errs)
	}
	for _, args := range [][]string{{"member"}, {"member", "add", "x"}, {"lead"}, {"save"}, {"restore"}, {"fly"}} {
		if code, _, errs := run(args...); code != tool.ExitUsage || errs == "" {
			t.Errorf("%v: %d %q", args, code, errs)
		}
	}
}

func TestWhatIsSavedCanBeRestored(t *testing.T) {
	e, run := house(t)
	_, err := e.Txn(t.Context(), &pb.TxnRequest{Success: []*pb.RequestOp{{
		Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: []byte("/key"), Value: bytes.Repeat([]byte("v"), 700<<10)}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	file, data := filepath.Join(t.TempDir(), "saved"), t.TempDir()
	if code, out, errs := run("save", file); code != tool.ExitOK {
		t.Fatalf("save: %d\n%s%s", code, out, errs)
	}
	if code, _, errs := run("save", file); code != tool.ExitUsage || !strings.Contains(errs, "exists") {
		t.Errorf("save over it: %d %s", code, errs)
	}
	if left, err := os.ReadDir(filepath.Dir(file)); err != nil || len(left) != 1 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if code, out, errs := run("restore", file, "--data-dir", data); code != tool.ExitOK {
		t.Fatalf("restore: %d\n%s%s", code, out, errs)
	}
	restored, err := engine.Start(t.Context(), engine.Config{DataDir: filepath.Join(data, "configstore", "etcd"), NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	defer restored.Close()
	found, err := restored.Range(t.Context(), &pb.RangeRequest{Key: []byte("/key")})
	if err != nil || len(found.GetKvs()) != 1 || len(found.GetKvs()[0].GetValue()) != 700<<10 {
		t.Errorf("restored %d keys, %v", len(found.GetKvs()), err)
	}
	if code, out, errs := run("defrag"); code != tool.ExitOK || !strings.Contains(out, "MiB") {
		t.Errorf("defrag: %d\n%s%s", code, out, errs)
	}
}
