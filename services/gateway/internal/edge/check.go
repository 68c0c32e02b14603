package edge

import (
	"errors"
	"fmt"
	"strings"
)

// Check reports everything that keeps a configuration from being put in
// force.
func (c *Config) Check() error {
	var faults []error
	seen := map[string]bool{}
	for _, host := range c.Hosts {
		for _, domain := range host.Domains {
			if seen[domain] {
				faults = append(faults, fmt.Errorf("host %q appears twice", domain))
			}
			seen[domain] = true
		}
		for _, route := range host.Routes {
			faults = append(faults, c.checkRoute(route))
		}
	}
	return errors.Join(faults...)
}

func (c *Config) checkRoute(r Route) error {
	if !strings.HasPrefix(r.Path, "/") {
		return fmt.Errorf("route %q: path %q does not begin with /", r.Name, r.Path)
	}
	if r.Target != ToCluster {
		return nil
	}
	if _, found := c.Clusters[r.Cluster]; !found {
		return fmt.Errorf("route %q: cluster %q does not exist", r.Name, r.Cluster)
	}
	return nil
}

// Counts gives the numbers of routes and endpoints.
func (c *Config) Counts() (routes, endpoints int) {
	for _, host := range c.Hosts {
		routes += len(host.Routes)
	}
	for _, cluster := range c.Clusters {
		endpoints += len(cluster.Endpoints)
	}
	return routes, endpoints
}
