package configstore

import (
	"context"
	"encoding/base64"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/backlot-video/backlot/e2e/internal/cluster"
	"github.com/backlot-video/backlot/kit/testport"
)

// TestEtcdsOwnFlagsRunEtcd has the verb etcd serve etcd's own API, and again
// after it was stopped.
func TestEtcdsOwnFlagsRunEtcd(t *testing.T) {
	binary := cluster.Build(t, cluster.Plain, "services/configstore/cmd/configstore")
	said, err := exec.CommandContext(t.Context(), binary, "etcd", "--version").Output()
	if err != nil || !strings.HasPrefix(string(said), "etcd Version: 3.") {
		t.Errorf("--version: %q, %v", said, err)
	}
	if err := exec.CommandContext(t.Context(), binary, "etcd", "--no-flag-of-etcd").Run(); err == nil {
		t.Error("an unknown flag is taken")
	}
	client, peer := "http://"+testport.Address(t), "http://"+testport.Address(t)
	args := []string{
		"etcd", "--name", "one", "--data-dir", t.TempDir(), "--log-level", "error",
		"--listen-client-urls", client, "--advertise-client-urls", client,
		"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", "one=" + peer,
	}
	key, value := encoded("key"), encoded("value")
	for _, request := range []string{"put", "range"} {
		p := cluster.Start(t, binary, args, nil)
		answer := until(t, p, client+"/v3/kv/"+request, map[string]string{
			"put": `{"key":"` + key + `","value":"` + value + `"}`, "range": `{"key":"` + key + `"}`,
		}[request])
		if request == "range" && !strings.Contains(answer, value) {
			t.Errorf("after a restart: %s", answer)
		}
		p.Terminate()
	}
}

func encoded(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

// until asks until there is an answer.
func until(t *testing.T, p *cluster.Process, url, body string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if response, err := http.DefaultClient.Do(request); err == nil {
			answer, err := io.ReadAll(response.Body)
			_ = response.Body.Close()
			if err == nil && response.StatusCode == http.StatusOK {
				return string(answer)
			}
		}
		select {
		case <-tick.C:
		case <-p.Ended():
			t.Fatalf("etcd ended:\n%s", p.Tail())
		case <-ctx.Done():
			t.Fatalf("no answer from %s:\n%s", url, p.Tail())
		}
	}
}
