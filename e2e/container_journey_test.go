//go:build containers

package e2e

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
	tcnetwork "github.com/testcontainers/testcontainers-go/network"
	"gopkg.in/yaml.v3"

	"github.com/backlot-video/backlot/e2e/internal/check"
	e2eclient "github.com/backlot-video/backlot/e2e/internal/client"
)

const composeFolder = "../deploy/compose"

// composed is what the test reads of a service in docker-compose.yml.
type composed struct {
	Image       string
	Command     []string
	Environment map[string]string
	Volumes     []string
	Secrets     []string
	Tmpfs       []string
	ReadOnly    bool           `yaml:"read_only"`
	CapDrop     []string       `yaml:"cap_drop"`
	SecurityOpt []string       `yaml:"security_opt"`
	DependsOn   map[string]any `yaml:"depends_on"`
}

// split is an installation of one container for each service of
// docker-compose.yml, in a network of its own.
type split struct {
	t        *testing.T
	network  string
	secrets  string
	services map[string]composed

	mu    sync.Mutex
	boxes map[string]*box
	dead  map[string]bool // killed once
}

// killed are the services that are killed when the demo's output first
// contains the text.
var killed = []struct{ text, service string }{
	{"go through the same pipeline", "transcoder"},
	{"viewers watch", "storefront"},
	{"buying", "settlement"},
	{"playing", "gateway"},
}

// TestContainersJourneyOverPostgresAndNATS runs the split installation that
// deploy/compose describes and kills services in the middle of the journey.
func TestContainersJourneyOverPostgresAndNATS(t *testing.T) {
	s := newSplit(t)
	began := time.Now()
	s.up()
	t.Logf("%d containers healthy after %v", len(s.boxes), time.Since(began).Round(time.Millisecond))

	began = time.Now()
	key := s.boxes["storefront"].file("/data/storefront/operator.key")
	receipt, err := demo(t, s.network, "http://gateway:8080", key, 8, s.killAt)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("journey in %v:\n%s", time.Since(began).Round(time.Millisecond), receipt)
	s.recovered()
	verify(t, s.boxes["gateway"].url("8080/tcp"), key)
	s.down()
}

// killAt kills the service whose moment a line of the demo's output is.
func (s *split) killAt(line string) {
	for _, k := range killed {
		if !strings.Contains(line, k.text) {
			continue
		}
		s.mu.Lock()
		again := s.dead[k.service]
		s.dead[k.service] = true
		s.mu.Unlock()
		if again {
			continue
		}
		if err := s.boxes[k.service].kill(s.t.Context()); err != nil {
			s.t.Error(err)
		}
	}
}

// recovered waits until what was killed is healthy again.
func (s *split) recovered() {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range killed {
		if !s.dead[k.service] {
			s.t.Errorf("%s was not killed: the demo never printed %q", k.service, k.text)
			continue
		}
		if err := s.boxes[k.service].healthy(s.t.Context()); err != nil {
			s.t.Error(err)
		}
	}
}

// verify recomputes balances, rights and videos from what the API says.
func verify(t *testing.T, gateway string, key []byte) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	keyFile := filepath.Join(t.TempDir(), "operator.key")
	if err := os.WriteFile(keyFile, key, 0o600); err != nil {
		t.Fatal(err)
	}
	operator, err := e2eclient.Operator(ctx, gateway, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	state, faults, err := check.Settle(ctx, operator, time.Minute)
	if err != nil {
		t.Fatalf("read the books: %v", err)
	}
	for _, fault := range append(faults, check.Playable(ctx, operator, state.Videos)...) {
		t.Error(fault)
	}
	t.Logf("checked %d transfers, %d accounts, %d orders, %d entitlements, %d videos",
		len(state.Transfers), len(state.Accounts), len(state.Orders), len(state.Entitlements), len(state.Videos))
}

func newSplit(t *testing.T) *split {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(composeFolder, "docker-compose.yml"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Services map[string]composed }
	if err := yaml.Unmarshal(content, &file); err != nil {
		t.Fatalf("docker-compose.yml: %v", err)
	}
	s := &split{t: t, services: file.Services, boxes: map[string]*box{}, dead: map[string]bool{}, secrets: filepath.Join(t.TempDir(), "secrets")}
	s.command("init.sh", s.secrets)
	t.Cleanup(func() { s.command("init.sh", "--remove", s.secrets) })
	s.network = newNetwork(t)
	t.Cleanup(s.removeVolumes)
	return s
}

// command runs a script of deploy/compose.
func (s *split) command(name string, args ...string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.t.Context()), time.Minute)
	defer cancel()
	if out, err := exec.CommandContext(ctx, filepath.Join(composeFolder, name), args...).CombinedOutput(); err != nil {
		s.t.Fatalf("%s: %v\n%s", name, err, out)
	}
}

// up starts services as soon as those before them are healthy.
func (s *split) up() {
	s.t.Helper()
	healthy := map[string]chan struct{}{}
	for name := range s.services {
		healthy[name] = make(chan struct{})
	}
	faults := make(chan error, len(s.services))
	ctx, cancel := context.WithCancel(s.t.Context())
	defer cancel()
	for name, service := range s.services {
		go func() {
			for before := range service.DependsOn {
				select {
				case <-healthy[before]:
				case <-ctx.Done():
					faults <- nil
					return
				}
			}
			err := s.start(name, service)
			if err == nil {
				close(healthy[name])
			}
			faults <- err
		}()
	}
	var all []error
	for range s.services {
		err := <-faults
		if err != nil {
			cancel()
		}
		all = append(all, err)
	}
	if err := errors.Join(all...); err != nil {
		s.t.Fatal(err)
	}
}

func (s *split) start(name string, service composed) error {
	options := []testcontainers.ContainerCustomizer{
		tcnetwork.WithNetworkName([]string{name}, s.network),
		testcontainers.WithEnv(service.Environment),
		testcontainers.WithHostConfigModifier(func(host *container.HostConfig) {
			host.ReadonlyRootfs, host.CapDrop, host.SecurityOpt = service.ReadOnly, service.CapDrop, service.SecurityOpt
			host.Binds = s.binds(service)
			for _, path := range service.Tmpfs {
				host.Tmpfs = map[string]string{path: ""}
			}
		}),
	}
	if len(service.Command) > 0 {
		options = append(options, testcontainers.WithCmd(service.Command...))
	}
	if name == "gateway" {
		options = append(options, testcontainers.WithExposedPorts("8080/tcp"))
	}
	folder, _, _ := strings.Cut(strings.TrimPrefix(service.Image, "backlot/"), ":")
	b, err := start(s.t, name, image(folder), options...)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.boxes[name] = b
	return nil
}

// binds are a service's volumes, with names of this test's own, and secrets.
func (s *split) binds(service composed) []string {
	var binds []string
	for _, volume := range service.Volumes {
		if file, local := strings.CutPrefix(volume, "./secrets"); local {
			binds = append(binds, s.secrets+file)
		} else {
			binds = append(binds, s.network+"-"+volume)
		}
	}
	for _, secret := range service.Secrets {
		binds = append(binds, filepath.Join(s.secrets, secret)+":/run/secrets/"+secret+":ro")
	}
	return binds
}

// down ends all gracefully, engines last.
func (s *split) down() {
	engines := []string{"postgres", "nats", "configstore"}
	var services []string
	for name := range s.boxes {
		if !slices.Contains(engines, name) {
			services = append(services, name)
		}
	}
	var stopping sync.WaitGroup
	for _, name := range services {
		stopping.Go(func() { s.boxes[name].stop() })
	}
	stopping.Wait()
	s.boxes["configstore"].stop()
}

func (s *split) removeVolumes() {
	ctx := context.WithoutCancel(s.t.Context())
	docker, err := testcontainers.NewDockerClientWithOpts(ctx)
	if err != nil {
		s.t.Error(err)
		return
	}
	defer func() { _ = docker.Close() }()
	for _, service := range s.services {
		for _, volume := range service.Volumes {
			name, _, _ := strings.Cut(volume, ":")
			if strings.HasPrefix(name, ".") {
				continue
			}
			if _, err := docker.VolumeRemove(ctx, s.network+"-"+name, client.VolumeRemoveOptions{Force: true}); err != nil {
				s.t.Errorf("remove volume %s: %v", name, err)
			}
		}
	}
}
