package lifecycle

import (
	"fmt"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/backlot-video/backlot/kit/informer"
	"github.com/backlot-video/backlot/kit/rpc"
	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
)

// maxLabels bounds those that an operator gives; the contract allows some more.
const maxLabels = 16

// subscriber is the process as canaries of configuration choose it: the same
// one after a restart on the same data folder.
func (p *process) subscriber() *configstorev1.Subscriber {
	labels, _ := parseLabels(p.settings.labels) // validated
	labels["program"], labels["version"] = p.program, short(Version)
	s := &configstorev1.Subscriber{Id: p.folder.instanceID(p.program, ""), Labels: labels}
	for _, service := range p.services {
		s.Services = append(s.Services, service.Name())
	}
	return s
}

// short cuts a label's value to what the contract allows.
func short(text string) string { return text[:min(len(text), 256)] }

// parseLabels reads name=value pairs with commas between.
func parseLabels(text string) (map[string]string, error) {
	labels := map[string]string{}
	for pair := range strings.SplitSeq(text, ",") {
		if strings.TrimSpace(pair) == "" {
			continue
		}
		name, value, found := strings.Cut(strings.TrimSpace(pair), "=")
		switch _, twice := labels[name]; {
		case !found || name == "" || len(name) > 63 || len(value) > 256:
			return nil, fmt.Errorf("instance-labels: %q is not name=value of at most 63 and 256 bytes", pair)
		case twice || name == "program" || name == "version" || name == "service":
			return nil, fmt.Errorf("instance-labels: %s is given already", name)
		}
		labels[name] = value
	}
	if len(labels) > maxLabels {
		return nil, fmt.Errorf("instance-labels: %d, at most %d", len(labels), maxLabels)
	}
	return labels, nil
}

// rpcHealth counts the calls that the servers of the process answered.
func rpcHealth(registerer prometheus.Registerer) func() informer.Health {
	read := rpc.NewServerHealth(registerer)
	return func() informer.Health {
		good, bad, p99 := read()
		return informer.Health{Name: "rpc", Good: good, Bad: bad, P99: time.Duration(p99 * float64(time.Second))}
	}
}

// ReportHealth puts what health counts into the reports to the configstore, by
// which canaries of configuration are judged. Without one it does nothing.
func (h *Host) ReportHealth(health func() informer.Health) {
	if reporter := h.process.links.reporter; reporter != nil {
		reporter.Count(health)
	}
}
