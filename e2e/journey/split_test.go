package journey

import (
	"testing"
	"time"

	"github.com/backlot-video/backlot/e2e/internal/cluster"
)

func TestJourneyWithAProcessForEachServiceByFlags(t *testing.T) {
	split := cluster.NewSplit(t, cluster.Race)
	split.Command = func(service string) (string, []string) { return split.Binary, []string{service} }
	split.Express = func(_ string, settings cluster.Settings) (args, environ []string) { return settings.Flags() }
	split.Up(nil)
	driveSplit(t, split)
}

// Each service by its own binary; half of them get their settings from the
// environment, half from a YAML file.
func TestJourneyWithAProcessForEachServiceByEnvironmentAndFile(t *testing.T) {
	split := cluster.NewSplit(t, cluster.Plain)
	split.Command = func(service string) (string, []string) {
		if service == "mq" {
			return split.Binary, []string{"mq"}
		}
		return cluster.Build(t, cluster.Plain, "services/"+service+"/cmd/"+service), nil
	}
	byFile := map[string]bool{"mq": true, "rules": true, "coordinator": true, "transcoder": true, "gateway": true}
	split.Express = func(service string, settings cluster.Settings) (args, environ []string) {
		if byFile[service] {
			return settings.File(t)
		}
		return settings.Environment()
	}
	split.Up(nil)
	driveSplit(t, split)
}

func driveSplit(t *testing.T, split *cluster.Split) {
	t.Helper()
	began := time.Now()
	receipt, err := split.Demo(t.Context(), 3*time.Minute, "--catalogue", "6", "--viewers", "12")
	if err != nil {
		t.Fatalf("%v\n%s", err, split.Logs())
	}
	t.Logf("journey in %v:%s", time.Since(began).Round(time.Millisecond), receipt)
	verify(t, split.Node, split.PIDs()...)
	split.Stop()
}
