package service

import (
	"context"

	"github.com/backlot-video/backlot/kit/config"
	"github.com/backlot-video/backlot/kit/informer"
	"github.com/backlot-video/backlot/kit/informer/kubernetes"
	"github.com/backlot-video/backlot/kit/lifecycle"
	"github.com/backlot-video/backlot/services/configstore/internal/xds"
)

// kubernetesConfig has the settings of endpoints from a Kubernetes cluster.
type kubernetesConfig struct {
	// Server is `cluster` for the one in which the process runs, or the URL of
	// an API server; empty: none. Default empty.
	Server string
	// TokenFile and AuthorityFile are for a URL.
	TokenFile, AuthorityFile string
	// Namespace and Selector choose EndpointSlices. Default all.
	Namespace, Selector string
	// ServiceLabel names the label that tells an endpoint's service. Default
	// kubernetes.io/service-name.
	ServiceLabel string
}

// inCluster is the server of the cluster in which the process runs.
const inCluster = "cluster"

func (c *kubernetesConfig) register(set *config.Set) {
	set.String(&c.Server, "kubernetes", "", "`server` whose EndpointSlices are endpoints too: cluster for the one around the process, or the URL of an API server; empty: none")
	set.String(&c.TokenFile, "kubernetes-token-file", "", "`file` with a bearer token, for a URL")
	set.String(&c.AuthorityFile, "kubernetes-ca-file", "", "PEM `file` with the authorities of the API server, for a URL")
	set.String(&c.Namespace, "kubernetes-namespace", "", "`namespace` of the EndpointSlices; empty: all")
	set.String(&c.Selector, "kubernetes-selector", "", "`selector` on labels of the EndpointSlices")
	set.String(&c.ServiceLabel, "kubernetes-service-label", kubernetes.DefaultServiceLabel, "`label` that tells the service of an EndpointSlice")
}

// follow places the endpoints of the cluster until the process ends.
func (c *kubernetesConfig) follow(host *lifecycle.Host, plane *xds.Plane) error {
	if c.Server == "" {
		return nil
	}
	where := kubernetes.Config{
		URL: c.Server, TokenFile: c.TokenFile, AuthorityFile: c.AuthorityFile, Selector: c.Selector,
	}
	if c.Server == inCluster {
		where.URL = ""
	}
	source, err := kubernetes.New(kubernetes.EndpointSlices, where)
	if err != nil {
		return err
	}
	kind := kubernetes.EndpointSlices.Kind
	slices := informer.NewDecoded(source, kind, kubernetes.Instances(c.ServiceLabel), informer.Config{
		Namespace: c.Namespace, SnapshotFile: host.Snapshot(kind), Log: host.Log, Registerer: host.Registerer,
		IdleTimeout: kubernetes.IdleTimeout,
	})
	slices.OnChange(plane.PlaceSets())
	host.Go("kubernetes", func(ctx context.Context) error { return slices.Run(ctx) })
	return nil
}
