//go:build containers

package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
	tcnetwork "github.com/testcontainers/testcontainers-go/network"
	"github.com/testcontainers/testcontainers-go/wait"
)

const (
	// containerReady bounds the start of a container, containerStop its
	// graceful end, demoTime a journey.
	containerReady = 2 * time.Minute
	containerStop  = 45 * time.Second
	demoTime       = 4 * time.Minute
)

// image is one that scripts/docker.sh built.
func image(name string) string {
	tag := os.Getenv("BACKLOT_TAG")
	if tag == "" {
		tag = "dev"
	}
	return "backlot/" + name + ":" + tag
}

// box is a container of a test.
type box struct {
	testcontainers.Container
	t    *testing.T
	name string
}

// run starts a container and waits for its health check. When the test ends
// it goes; when the test failed, its log is shown before.
func run(t *testing.T, name, from string, options ...testcontainers.ContainerCustomizer) *box {
	t.Helper()
	b, err := start(t, name, image(from), options...)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// start is run for any goroutine.
func start(t *testing.T, name, from string, options ...testcontainers.ContainerCustomizer) (*box, error) {
	ctx, cancel := context.WithTimeout(t.Context(), containerReady)
	defer cancel()
	healthy := wait.ForHealthCheck().WithPollInterval(100 * time.Millisecond)
	options = append([]testcontainers.ContainerCustomizer{
		testcontainers.WithWaitStrategyAndDeadline(containerReady, healthy),
	}, options...)
	container, err := testcontainers.Run(ctx, from, options...)
	b := &box{Container: container, t: t, name: name}
	t.Cleanup(b.remove)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	return b, nil
}

func (b *box) remove() {
	if b.Container == nil {
		return
	}
	if b.t.Failed() {
		b.t.Logf("log of %s:\n%s", b.name, b.log())
	}
	if err := testcontainers.TerminateContainer(b.Container); err != nil {
		b.t.Errorf("remove %s: %v", b.name, err)
	}
}

// log is the end of what the container wrote.
func (b *box) log() []byte {
	if b.Container == nil {
		return nil
	}
	reader, err := b.Logs(context.WithoutCancel(b.t.Context()))
	if err != nil {
		return []byte(err.Error())
	}
	defer func() { _ = reader.Close() }()
	text, _ := io.ReadAll(reader)
	return text[max(0, len(text)-6000):]
}

// stop ends the container gracefully: its exit code must be 0.
func (b *box) stop() {
	limit := containerStop
	if err := b.Stop(b.t.Context(), &limit); err != nil {
		b.t.Errorf("stop %s: %v", b.name, err)
		return
	}
	state, err := b.State(b.t.Context())
	switch {
	case err != nil:
		b.t.Errorf("stop %s: %v", b.name, err)
	case state.ExitCode != 0:
		b.t.Errorf("%s ended with exit code %d:\n%s", b.name, state.ExitCode, b.log())
	}
}

// kill ends the container as a power cut would, and starts it again. It does
// not wait until it is ready.
func (b *box) kill(ctx context.Context) error {
	docker, err := testcontainers.NewDockerClientWithOpts(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = docker.Close() }()
	if _, err := docker.ContainerKill(ctx, b.GetContainerID(), client.ContainerKillOptions{Signal: "KILL"}); err != nil {
		return fmt.Errorf("kill %s: %w", b.name, err)
	}
	if _, err := docker.ContainerStart(ctx, b.GetContainerID(), client.ContainerStartOptions{}); err != nil {
		return fmt.Errorf("start %s again: %w", b.name, err)
	}
	return nil
}

// healthy waits until the health check passes.
func (b *box) healthy(ctx context.Context) error {
	target, ok := b.Container.(wait.StrategyTarget)
	if !ok {
		return fmt.Errorf("%s cannot be waited for", b.name)
	}
	if err := wait.ForHealthCheck().WithStartupTimeout(containerReady).WaitUntilReady(ctx, target); err != nil {
		return fmt.Errorf("wait for %s: %w", b.name, err)
	}
	return nil
}

// file is the content of a file in the container.
func (b *box) file(path string) []byte {
	b.t.Helper()
	reader, err := b.CopyFileFromContainer(b.t.Context(), path)
	if err != nil {
		b.t.Fatalf("copy %s of %s: %v", path, b.name, err)
	}
	defer func() { _ = reader.Close() }()
	var content bytes.Buffer
	if _, err := content.ReadFrom(reader); err != nil {
		b.t.Fatal(err)
	}
	return content.Bytes()
}

// url is a port of the container as the host reaches it. Docker may choose
// another port when a container starts again.
func (b *box) url(port string) string {
	b.t.Helper()
	address, err := b.PortEndpoint(b.t.Context(), port, "http")
	if err != nil {
		b.t.Fatal(err)
	}
	return address
}

// demo runs `backlot demo` in a container of its own and returns what it
// printed; without a receipt it is an error. A run that fails is repeated,
// as a person would, attempts times at most. follow, where it is given, sees
// the output line by line.
func demo(t *testing.T, network, gateway string, key []byte, attempts int, follow func(line string)) (string, error) {
	t.Helper()
	const keyFile = "/operator.key"
	exited := testcontainers.WithWaitStrategyAndDeadline(demoTime, wait.ForExit().WithPollInterval(100*time.Millisecond))
	options := []testcontainers.ContainerCustomizer{
		tcnetwork.WithNetworkName(nil, network),
		testcontainers.WithCmd("demo", "--gateway", gateway, "--operator-key", keyFile, "--state-dir", "/tmp/demo",
			"--seconds", "2", "--size", "160x90", "--catalogue", "12", "--viewers", "60"),
		testcontainers.WithFiles(testcontainers.ContainerFile{Reader: bytes.NewReader(key), ContainerFilePath: keyFile, FileMode: 0o444}),
	}
	if follow != nil {
		options = append(options, testcontainers.WithLogConsumers(lines(follow)))
	}
	b, err := start(t, "demo", image("full"), append(options, exited)...)
	if err != nil {
		return "", err
	}
	for attempt := 1; ; attempt++ {
		text := string(b.log())
		state, err := b.State(t.Context())
		switch {
		case err != nil:
			return text, err
		case state.ExitCode == 0 && strings.Contains(text, "BACKLOT RECEIPT"):
			return text, nil
		case attempt == attempts:
			return text, fmt.Errorf("demo ended with exit code %d, attempt %d:\n%s", state.ExitCode, attempt, text)
		}
		if err := b.Start(t.Context()); err != nil { // waits for the exit
			return text, err
		}
	}
}

// lines gives a function whole lines of a container's output.
type lines func(string)

// Accept implements testcontainers.LogConsumer.
func (l lines) Accept(log testcontainers.Log) { l(string(log.Content)) }

// newNetwork is a network of the test's own.
func newNetwork(t *testing.T) string {
	t.Helper()
	made, err := tcnetwork.New(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := made.Remove(context.WithoutCancel(t.Context())); err != nil {
			t.Errorf("remove the network: %v", err)
		}
	})
	return made.Name
}
