package kubernetes

import (
	"encoding/json"
	"net"
	"strconv"

	"google.golang.org/protobuf/proto"

	"github.com/backlot-video/backlot/kit/informer"
	"github.com/backlot-video/backlot/kit/informer/wire"
	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
)

// slice is what is needed of an EndpointSlice.
type slice struct {
	Metadata  struct{ Labels map[string]string }
	Endpoints []endpoint
	Ports     []port
}

type endpoint struct {
	Addresses  []string
	Conditions struct{ Ready *bool }
	TargetRef  struct{ Name string }
	Zone       string
}

type port struct {
	Name string
	Port int32
}

type instances struct{ label string }

// Instances returns a decoder of EndpointSlices: their endpoints as instances
// of the service that the value of a label names; empty:
// DefaultServiceLabel. Without the label there are none.
func Instances(serviceLabel string) informer.Keeper[*configstorev1.InstanceSet] {
	if serviceLabel == "" {
		serviceLabel = DefaultServiceLabel
	}
	return instances{serviceLabel}
}

func (i instances) Decode(item *informer.Item) (*configstorev1.InstanceSet, error) {
	var s slice
	var err error
	if item.Encoding == informer.JSON {
		err = json.Unmarshal(item.Spec, &s)
	} else {
		err = s.read(item.Spec, i.label)
	}
	if err != nil {
		return nil, err
	}
	return s.instances(i.label), nil
}

func (instances) Encode(set *configstorev1.InstanceSet) ([]byte, error) { return proto.Marshal(set) }

func (instances) Restore(raw []byte) (*configstorev1.InstanceSet, error) {
	set := new(configstorev1.InstanceSet)
	return set, proto.Unmarshal(raw, set)
}

// read reads a discovery.v1.EndpointSlice, and of its labels one.
func (s *slice) read(raw []byte, label string) error {
	r := wire.NewReader(raw)
	for r.Next() {
		var err error
		switch r.Number() {
		case 1:
			err = s.readLabel(r.Message(), label)
		case 2:
			var e endpoint
			err = e.read(r.Message())
			s.Endpoints = append(s.Endpoints, e)
		case 3:
			var p port
			err = p.read(r.Message())
			s.Ports = append(s.Ports, p)
		}
		if err != nil {
			return err
		}
	}
	return r.Err()
}

func (s *slice) readLabel(metadata wire.Reader, label string) error {
	for metadata.Next() {
		if metadata.Number() != 11 {
			continue
		}
		var name, value []byte
		entry := metadata.Message()
		for entry.Next() {
			switch entry.Number() {
			case 1:
				name = entry.Bytes()
			case 2:
				value = entry.Bytes()
			}
		}
		if entry.Err() != nil {
			return entry.Err()
		}
		if string(name) == label {
			s.Metadata.Labels = map[string]string{label: string(value)}
		}
	}
	return metadata.Err()
}

func (e *endpoint) read(r wire.Reader) error {
	for r.Next() {
		var inner wire.Reader
		switch r.Number() {
		case 1:
			e.Addresses = append(e.Addresses, string(r.Bytes()))
		case 2:
			for inner = r.Message(); inner.Next(); {
				if inner.Number() == 1 {
					ready := inner.Bool()
					e.Conditions.Ready = &ready
				}
			}
		case 4:
			for inner = r.Message(); inner.Next(); {
				if inner.Number() == 3 {
					e.TargetRef.Name = string(inner.Bytes())
				}
			}
		case 7:
			e.Zone = string(r.Bytes())
		}
		if inner.Err() != nil {
			return inner.Err()
		}
	}
	return r.Err()
}

func (p *port) read(r wire.Reader) error {
	for r.Next() {
		switch r.Number() {
		case 1:
			p.Name = string(r.Bytes())
		case 3:
			p.Port = int32(r.Uint())
		}
	}
	return r.Err()
}

// portName is the port of a slice that is taken where there are several.
const portName = "http"

// instances are the endpoints of a slice. Whether an endpoint is ready is
// unknown where it does not say: then it is.
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
		if p.Port > 0 && p.Port < 1<<16 && (found == 0 || p.Name == portName) {
			found = p.Port
		}
	}
	return found
}
