package kubernetes

import (
	"fmt"
	"net"
	"net/http"
	"strconv"

	"github.com/backlot-video/backlot/kit/informer"
	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
)

// What is not named here is skipped when it is decoded, and never kept.
type (
	metadata struct {
		Name, Namespace string
		ResourceVersion string
		Continue        string
		Labels          map[string]string
	}
	list struct {
		Metadata metadata
		Items    []slice
	}
	event struct {
		Type   string
		Object object
	}
	// object is a slice, or the status of a failure.
	object struct {
		slice
		Code    int
		Message string
	}
	slice struct {
		Metadata  metadata
		Endpoints []endpoint
		Ports     []port
	}
	endpoint struct {
		Addresses  []string
		Conditions struct{ Ready *bool }
		TargetRef  struct{ Name string }
		Zone       string
	}
	port struct {
		Name string
		Port *int32
	}
)

func (m *metadata) revision() (int64, error) {
	revision, err := strconv.ParseInt(m.ResourceVersion, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("endpoint slice %q: resourceVersion %q", m.Name, m.ResourceVersion)
	}
	return revision, nil
}

// failure is the error that a status means.
func (o *object) failure() error {
	err := fmt.Errorf("endpoint slices: the API server says %d %s", o.Code, o.Message)
	if o.Code == http.StatusGone {
		err = fmt.Errorf("%w: %w", informer.ErrCompacted, err)
	}
	return err
}

// portName is the port of a slice that is taken where there are several.
const portName = "http"

// instances are the endpoints of a slice. The service is the value of a label;
// without it there are none. Whether an endpoint is ready is unknown where it
// does not say: then it is.
func (s *slice) instances(label string) *configstorev1.InstanceSet {
	set := new(configstorev1.InstanceSet)
	service, number := s.Metadata.Labels[label], s.port()
	if service == "" || number == 0 {
		return set
	}
	for _, e := range s.Endpoints {
		if len(e.Addresses) == 0 {
			continue
		}
		// The addresses of an endpoint are the same one's: the first will do.
		address := net.JoinHostPort(e.Addresses[0], strconv.Itoa(int(number)))
		id := e.TargetRef.Name
		if id == "" {
			id = address
		}
		set.Instances = append(set.Instances, &configstorev1.Instance{
			Id: id, Service: service, Address: address, Zone: e.Zone, Ready: e.Conditions.Ready == nil || *e.Conditions.Ready,
		})
	}
	return set
}

func (s *slice) port() int32 {
	var found int32
	for _, p := range s.Ports {
		if p.Port != nil && *p.Port > 0 && *p.Port < 1<<16 && (found == 0 || p.Name == portName) {
			found = *p.Port
		}
	}
	return found
}
