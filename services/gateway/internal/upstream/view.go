package upstream

// View is the clusters of one configuration. It does not change.
type View struct{ clusters map[string]*Cluster }

// Cluster finds a cluster, nil where there is none of this name.
func (v *View) Cluster(name string) *Cluster { return v.clusters[name] }

// Retire is called once, when a newer View is in force and no request begins
// by this one any more. Requests that go on by it may: endpoints that no other
// View has close their connections as these become idle.
func (v *View) Retire() {}
