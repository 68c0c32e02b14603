package parked

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/backlot-video/backlot/kit/identity"
	"github.com/backlot-video/backlot/kit/mq"
	"github.com/backlot-video/backlot/kit/tool"
	eventv1 "github.com/backlot-video/backlot/proto/gen/backlot/event/v1"
)

func TestParkedMessagesFromTheCommandLine(t *testing.T) {
	dir := t.TempDir()
	keys, err := identity.OpenKeys(filepath.Join(dir, "cluster.key"), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	token := hex.EncodeToString(keys.Derive("mq"))
	server, err := mq.NewServer(mq.ServerConfig{DataDir: filepath.Join(dir, "mq"), Listen: "127.0.0.1:0", Token: token})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	client, err := mq.Connect(t.Context(), mq.ClientConfig{Server: server, Token: token})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- client.Consume(ctx, mq.Consumer{
			Durable: "test_all", Subjects: mq.Subjects("backlot.test.counted.v1"), Attempts: 1,
			Handler: func(context.Context, *eventv1.Envelope) error { return errors.New("always\tbroken") },
		})
	}()
	envelope, err := mq.NewEnvelope("main", "backlot.test.counted.v1", "a", wrapperspb.Int64(42))
	if err != nil {
		t.Fatal(err)
	}
	if err := client.Publish(t.Context(), "test", envelope); err != nil {
		t.Fatal(err)
	}
	awaitParked(t, client, 1)
	run := func(args ...string) (int, string) {
		var out, problems bytes.Buffer
		args = append(args[:1:1], append([]string{"--mq-url", server.URL(), "--data-dir", dir}, args[1:]...)...)
		code := tool.Main(t.Context(), args, Verbs(), &tool.Stdio{Out: &out, Err: &problems, Environ: os.Environ(), Program: "backlot mq parked"})
		return code, out.String() + problems.String()
	}
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"list"}, 0, "always broken"},
		{[]string{"list", "--json", "--consumer", "test_all"}, 0, `"attempts": 1`},
		{[]string{"show", "1"}, 0, `"value": "42"`},
		{[]string{"show", "9"}, 2, "no such parked message: 9"},
		{[]string{"show"}, 2, "want sequences"},
		{[]string{"drop", "x"}, 2, `sequence "x"`},
		{[]string{"list", "--mq-url", "nats://127.0.0.1:1"}, 2, "mq-url"},
		{[]string{"list", "--data-dir", t.TempDir()}, 2, "cluster-key-file"},
		{[]string{"replay", "all"}, 0, "1 replayed"},
	} {
		if code, text := run(c.args...); code != c.code || !strings.Contains(text, c.want) {
			t.Errorf("%v: exit code %d and\n%s", c.args, code, text)
		}
	}
	awaitParked(t, client, 2) // it failed again
	if code, text := run("drop", "2"); code != 0 || text != "2 dropped\n" {
		t.Errorf("drop: exit code %d and\n%s", code, text)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// awaitParked waits for a sequence to be parked.
func awaitParked(t *testing.T, client *mq.Client, sequence uint64) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; {
		_, err := client.GetParked(t.Context(), sequence)
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}
