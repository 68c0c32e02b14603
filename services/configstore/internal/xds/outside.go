package xds

import (
	"strconv"

	"github.com/backlot-video/backlot/kit/informer"
	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
)

// PlaceSets returns a handler of an informer that places the instances of its
// objects.
func (p *Plane) PlaceSets() func([]informer.Event[*configstorev1.InstanceSet]) {
	sizes := make(map[string]int) // instances placed, by object
	return func(events []informer.Event[*configstorev1.InstanceSet]) {
		changed := make(map[string]*configstorev1.Instance)
		for _, event := range events {
			object := event.Object.Namespace + "/" + event.Object.Name
			var instances []*configstorev1.Instance
			if event.Type != informer.Deleted {
				instances = event.Object.Spec.GetInstances()
			}
			for n := range max(sizes[object], len(instances)) {
				name := object + "/" + strconv.Itoa(n)
				if changed[name] = nil; n < len(instances) {
					changed[name] = instances[n]
				}
			}
			if sizes[object] = len(instances); len(instances) == 0 {
				delete(sizes, object)
			}
		}
		p.Place(changed)
	}
}
