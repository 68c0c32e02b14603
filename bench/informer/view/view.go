// Package view is a projection of Pods: what a service that sends requests to
// them needs, filled straight from the fields of the message.
package view

import (
	"github.com/backlot-video/backlot/kit/informer"
	"github.com/backlot-video/backlot/kit/informer/wire"
)

// Mask is what a controller that places and watches workloads reads of a Pod.
var Mask = []string{
	"metadata.name", "metadata.namespace", "metadata.uid", "metadata.resourceVersion", "metadata.deletionTimestamp", "metadata.labels",
	"spec.nodeName", "status.phase", "status.podIP", "status.hostIP", "status.conditions.type", "status.conditions.status",
	"status.containerStatuses.name", "status.containerStatuses.ready", "status.containerStatuses.restartCount",
}

// Fields are what Decoder reads.
var Fields = []string{
	"metadata.deletionTimestamp", "metadata.labels", "spec.nodeName", "status.phase", "status.podIP", "status.conditions.type", "status.conditions.status",
	"status.containerStatuses.ready", "status.containerStatuses.restartCount",
}

// Pod is the projection. Name, namespace and revision are the object's.
type Pod struct {
	App, Node, Phase, IP string
	Ready, Deleting      bool
	Containers           int32
	ContainersReady      int32
	Restarts             int32
}

const appLabel = "app.kubernetes.io/name"

// Decoder is an informer.Decoder. It is for one informer.
type Decoder struct{ strings wire.Interner }

// Decode implements informer.Decoder.
func (d *Decoder) Decode(item *informer.Item) (pod Pod, err error) {
	r := wire.NewReader(item.Spec)
	for r.Next() && err == nil {
		switch r.Number() {
		case 1:
			err = d.metadata(r.Message(), &pod)
		case 2:
			err = d.spec(r.Message(), &pod)
		case 3:
			err = d.status(r.Message(), &pod)
		}
	}
	if err == nil {
		err = r.Err()
	}
	return pod, err
}

func (d *Decoder) metadata(r wire.Reader, pod *Pod) error {
	for r.Next() {
		switch r.Number() {
		case 9:
			pod.Deleting = true
		case 11:
			key, value, err := pair(r.Message())
			if err != nil {
				return err
			}
			if string(key) == appLabel {
				pod.App = d.strings.String(value)
			}
		}
	}
	return r.Err()
}

// pair is the first and the second field of a message.
func pair(r wire.Reader) (first, second []byte, err error) {
	for r.Next() {
		switch r.Number() {
		case 1:
			first = r.Bytes()
		case 2:
			second = r.Bytes()
		}
	}
	return first, second, r.Err()
}

func (d *Decoder) spec(r wire.Reader, pod *Pod) error {
	for r.Next() {
		if r.Number() == 10 {
			pod.Node = d.strings.String(r.Bytes())
		}
	}
	return r.Err()
}

func (d *Decoder) status(r wire.Reader, pod *Pod) error {
	for r.Next() {
		switch r.Number() {
		case 1:
			pod.Phase = d.strings.String(r.Bytes())
		case 2:
			kind, status, err := pair(r.Message())
			if err != nil {
				return err
			}
			if string(kind) == "Ready" {
				pod.Ready = string(status) == "True"
			}
		case 6:
			pod.IP = string(r.Bytes())
		case 8:
			if err := pod.container(r.Message()); err != nil {
				return err
			}
		}
	}
	return r.Err()
}

func (p *Pod) container(r wire.Reader) error {
	p.Containers++
	for r.Next() {
		switch r.Number() {
		case 4:
			if r.Bool() {
				p.ContainersReady++
			}
		case 5:
			p.Restarts += int32(r.Uint())
		}
	}
	return r.Err()
}
