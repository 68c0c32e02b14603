package service

import (
	"strings"
	"testing"

	"github.com/backlot-video/backlot/services/gateway/internal/edge"
)

func TestReadyOnceEveryServiceOfTheProcessHasAnEndpoint(t *testing.T) {
	together := func(service string) bool { return service != "elsewhere" }
	config := func(storefront ...edge.Endpoint) *edge.Config {
		return &edge.Config{Clusters: map[string]edge.Cluster{
			"elsewhere": {}, "rules": {Endpoints: []edge.Endpoint{{Address: "unix:/r"}}}, "storefront": {Endpoints: storefront},
		}}
	}
	leaving, open := edge.Endpoint{Address: "unix:/a", Draining: true}, edge.Endpoint{Address: "unix:/b"}
	for _, notYet := range []*edge.Config{config(), config(leaving)} {
		if err := neighboursKnown(notYet, together); err == nil || !strings.Contains(err.Error(), "storefront") {
			t.Errorf("%v: %v", notYet.Clusters["storefront"], err)
		}
	}
	for _, ready := range []*edge.Config{config(open), config(leaving, open)} {
		if err := neighboursKnown(ready, together); err != nil {
			t.Error(err)
		}
	}
}
