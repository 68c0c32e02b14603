package cluster

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"github.com/backlot-video/backlot/kit/testport"
)

// Services are all of them, in the order in which they start; the broker is
// before them.
var Services = []string{
	"configstore", "rules", "settlement", "coordinator", "storefront", "transcoder", "recommender", "gateway",
}

// Settings are settings of a process by the name of their flag.
type Settings map[string]string

// Flags gives settings as arguments.
func (s Settings) Flags() (args, environ []string) {
	for name, value := range s {
		args = append(args, "--"+name+"="+value)
	}
	return args, nil
}

// Environment gives settings as environment variables.
func (s Settings) Environment() (args, environ []string) {
	for name, value := range s {
		variable := strings.ToUpper(strings.NewReplacer(".", "_", "-", "_").Replace(name))
		environ = append(environ, "BACKLOT_"+variable+"="+value)
	}
	return nil, environ
}

// File writes settings to a YAML file and gives the argument that names it.
func (s Settings) File(t *testing.T) (args, environ []string) {
	t.Helper()
	content := map[string]any{}
	for name, value := range s {
		name = strings.ReplaceAll(name, "-", "_")
		section, key, within := strings.Cut(name, ".")
		if !within {
			content[name] = value
			continue
		}
		of, _ := content[section].(map[string]any)
		if of == nil {
			of = map[string]any{}
			content[section] = of
		}
		of[key] = value
	}
	text, err := yaml.Marshal(content)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "backlot.yaml")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return []string{"--config", path}, nil
}

// Split is an installation of one process for each service.
type Split struct {
	*Node
	// Command gives the binary of a service and the arguments before its own.
	Command func(service string) (binary string, verb []string)
	// Express gives a service's settings in some form.
	Express func(service string, settings Settings) (args, environ []string)

	Processes map[string]*Process
	OpsOf     map[string]string // operations address of each service

	t                     *testing.T
	settings              map[string]Settings
	configstore, brokerAt string
}

// NewSplit chooses a data folder and addresses.
func NewSplit(t *testing.T, variant Variant) *Split {
	t.Helper()
	s := &Split{
		Node: NewNode(t, variant), t: t, Processes: map[string]*Process{}, OpsOf: map[string]string{},
		settings: map[string]Settings{}, configstore: testport.Address(t), brokerAt: testport.Address(t),
	}
	for _, service := range append([]string{"mq"}, Services...) {
		s.OpsOf[service] = testport.Address(t)
		s.settings[service] = s.settingsOf(service)
	}
	return s
}

func (s *Split) settingsOf(service string) Settings {
	settings := Settings{
		"data-dir": s.Dir, "ops-listen": s.OpsOf[service],
		service + ".rpc-listen": testport.Address(s.t), service + ".kitex-listen": testport.Address(s.t),
	}
	if service == "mq" {
		settings["mq.listen"] = s.brokerAt
		return settings
	}
	settings["mq-url"] = "nats://" + s.brokerAt
	switch service {
	case "configstore":
		settings["configstore.rpc-listen"] = s.configstore
		return settings
	case "gateway":
		settings["gateway.listen"] = s.Gateway
	}
	settings["configstore"] = s.configstore
	return settings
}

// Up starts every process with more settings and waits until all are ready.
func (s *Split) Up(more Settings) {
	s.t.Helper()
	services := append([]string{"mq"}, Services...)
	for _, service := range services {
		s.Run(service, more)
	}
	for _, service := range services {
		if _, err := s.Processes[service].WaitReady(s.OpsOf[service]); err != nil {
			s.t.Fatal(err)
		}
	}
}

// Run starts one service's process.
func (s *Split) Run(service string, more Settings) {
	s.t.Helper()
	settings := Settings{}
	for _, from := range []Settings{s.settings[service], more} {
		for name, value := range from {
			settings[name] = value
		}
	}
	binary, verb := s.Command(service)
	args, environ := s.Express(service, settings)
	s.Processes[service] = Start(s.t, binary, append(verb, args...), environ)
}

// Broker is the broker's URL.
func (s *Split) Broker() string { return "nats://" + s.brokerAt }

// PIDs are those of the processes.
func (s *Split) PIDs() (pids []int) {
	for _, process := range s.Processes {
		pids = append(pids, process.PID())
	}
	return pids
}

// Stop ends all processes, the gateway first.
func (s *Split) Stop() {
	s.t.Helper()
	for i := len(Services) - 1; i >= 0; i-- {
		s.Processes[Services[i]].Stop()
	}
	s.Processes["mq"].Stop()
}

// Logs are the ends of all logs.
func (s *Split) Logs() string {
	var all strings.Builder
	for service, process := range s.Processes {
		_, _ = fmt.Fprintf(&all, "== %s\n%s\n", service, process.Tail())
	}
	return all.String()
}
