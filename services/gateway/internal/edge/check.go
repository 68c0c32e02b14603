package edge

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/backlot-video/backlot/kit/urlpath"
)

// Check reports everything that keeps a configuration from being put in force,
// each fault with the object and its field.
func (c *Config) Check() error {
	var faults []error
	seen := map[string]bool{}
	for _, host := range c.Hosts {
		for _, domain := range host.Domains {
			if seen[domain] {
				faults = append(faults, fmt.Errorf("host %q appears twice", domain))
			}
			seen[domain] = true
			if strings.Contains(strings.TrimPrefix(domain, "*."), "*") && domain != "*" {
				faults = append(faults, fmt.Errorf("host %q is neither a name, nor one behind `*.`, nor *", domain))
			}
		}
		for i := range host.Routes {
			faults = append(faults, c.checkRoute(&host.Routes[i])...)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Clusters)) {
		faults = append(faults, c.checkCluster(name)...)
	}
	return errors.Join(append(faults, c.checkListeners()...)...)
}

// checker collects the faults of one object.
type checker struct {
	config *Config
	object string
	faults []error
}

func (k *checker) addf(field, format string, args ...any) {
	k.faults = append(k.faults, fmt.Errorf("%s: %s: %s", k.object, field, fmt.Sprintf(format, args...)))
}

func (k *checker) cluster(field, name string) {
	if _, found := k.config.Clusters[name]; !found {
		k.addf(field, "cluster %q does not exist", name)
	}
}

// secret makes sure that a secret is there and holds what is asked of it.
func (k *checker) secret(field, name, what string, holds func(*Secret) bool) {
	if name == "" {
		return
	}
	secret, found := k.config.Secrets[name]
	switch {
	case !found:
		k.addf(field, "secret %q does not exist", name)
	case !holds(&secret):
		k.addf(field, "secret %q has no %s", name, what)
	}
}

func (k *checker) certificate(field, name string) {
	k.secret(field, name, "certificate with a key", func(s *Secret) bool { return len(s.CertificatePEM) > 0 && len(s.KeyPEM) > 0 })
}

func (k *checker) authority(field, name string) {
	k.secret(field, name, "certificates of authorities", func(s *Secret) bool { return len(s.AuthorityPEM) > 0 })
}

func (c *Config) checkRoute(r *Route) []error {
	k := &checker{config: c, object: fmt.Sprintf("route %q", r.Name)}
	k.match(r)
	k.target(r)
	k.policy(&r.Policy)
	return k.faults
}

func (k *checker) match(r *Route) {
	normal, ok := Normal(nil, []byte(r.Path))
	switch {
	case !strings.HasPrefix(r.Path, "/"):
		k.addf("path", "%q does not begin with /", r.Path)
	case r.Template && r.Exact:
		k.addf("path", "is exact and a template at once")
	case !ok || string(normal) != r.Path:
		k.addf("path", "%q never matches: requests' paths are brought into the form %q", r.Path, normal)
	case r.Template:
		k.template(r)
	case r.PathRewrite != "":
		k.addf("path_rewrite", "needs a path that is a template; prefix_rewrite is for others")
	case !r.Exact && strings.HasSuffix(r.PrefixRewrite, "/") && !strings.HasSuffix(r.Path, "/"):
		k.addf("prefix_rewrite", "ends with / and the prefix %q does not, so that %q would leave it; "+
			"let both end with /, and add a route for the exact path", r.Path, r.Path+"../x")
	}
	if r.PrefixRewrite != "" && !strings.HasPrefix(r.PrefixRewrite, "/") {
		k.addf("prefix_rewrite", "%q does not begin with /", r.PrefixRewrite)
	}
	for i := range r.Headers {
		if _, err := r.Headers[i].compile(); err != nil {
			k.addf(fmt.Sprintf("headers[%d]", i), "%v", err)
		}
	}
	for i := range r.Queries {
		if _, err := r.Queries[i].compile(); err != nil {
			k.addf(fmt.Sprintf("queries[%d]", i), "%v", err)
		}
	}
}

func (k *checker) template(r *Route) {
	parsed, err := urlpath.Parse(r.Path)
	if err != nil {
		k.addf("path", "template %q %v", r.Path, err)
		return
	}
	if r.PathRewrite == "" {
		return
	}
	if r.PrefixRewrite != "" {
		k.addf("path_rewrite", "is set together with prefix_rewrite")
	}
	if err := parsed.CheckRewrite(r.PathRewrite); err != nil {
		k.addf("path_rewrite", "%q %v", r.PathRewrite, err)
	}
}

func (k *checker) target(r *Route) {
	switch r.Target {
	case ToMedia, ToConsole:
	case ToCluster:
		k.split(r)
		for i := range r.Mirrors {
			k.cluster(fmt.Sprintf("mirrors[%d].cluster", i), r.Mirrors[i].Cluster)
		}
	case ToRedirect:
		if r.Redirect == nil || !slices.Contains([]int{301, 302, 303, 307, 308}, r.Redirect.Status) {
			k.addf("redirect.status", "must be 301, 302, 303, 307 or 308")
		}
	case ToAnswer:
		if r.Answer == nil || r.Answer.Status < 200 || r.Answer.Status > 599 {
			k.addf("answer.status", "must be 200 to 599")
		} else if len(r.Answer.Body) > MaxAnswer {
			k.addf("answer.body", "has %d bytes, at most %d", len(r.Answer.Body), MaxAnswer)
		}
	}
}

func (k *checker) split(r *Route) {
	if len(r.Split) == 0 {
		k.cluster("cluster", r.Cluster)
		return
	}
	var total uint64
	for i := range r.Split {
		k.cluster(fmt.Sprintf("split[%d].cluster", i), r.Split[i].Cluster)
		total += uint64(r.Split[i].Weight)
	}
	if total == 0 || total > 1<<32-1 {
		k.addf("split", "weights sum to %d, must be 1 to %d", total, uint32(1<<32-1))
	}
}

func (k *checker) policy(p *Policy) {
	if p.CORS != nil && p.CORS.Credentials && slices.Contains(p.CORS.Origins, "*") {
		k.addf("policy.cors.credentials", "must not be set with origin *: name the origins")
	}
	k.authentication("policy", &Authentication{JWT: p.JWT, APIKey: p.APIKey})
	k.anyOf(p)
	if p.ExtAuthz != nil {
		k.cluster("policy.ext_authz.cluster", p.ExtAuthz.Cluster)
	}
	for i := range p.RateLimits {
		if limit := &p.RateLimits[i]; !(limit.Rate > 0) || !(limit.Burst >= 1) {
			k.addf(fmt.Sprintf("policy.rate_limits[%d]", i), "rate must be above 0 and burst at least 1")
		}
	}
}

// authentication makes sure that secrets hold what is asked of them.
func (k *checker) authentication(field string, a *Authentication) {
	if a.JWT != nil {
		k.secret(field+".jwt.secret", a.JWT.Secret, "key set (JWKS)", func(s *Secret) bool { return len(s.JWKS) > 0 })
	}
	if a.APIKey != nil {
		k.secret(field+".api_key.secret", a.APIKey.Secret, "API keys", func(s *Secret) bool { return len(s.APIKeys) > 0 })
	}
}

func (k *checker) anyOf(p *Policy) {
	if len(p.AnyOf) > 0 && (p.JWT != nil || p.APIKey != nil) {
		k.addf("policy.any_of", "is set together with jwt or api_key, which would be asked for besides: leave these out")
	}
	for i := range p.AnyOf {
		one := &p.AnyOf[i]
		field := fmt.Sprintf("policy.any_of[%d]", i)
		if one.JWT == nil && one.APIKey == nil && one.ClientCert == nil {
			k.addf(field, "jwt, api_key or client_certificate must be set")
		}
		if one.JWT != nil && one.JWT.Optional || one.APIKey != nil && one.APIKey.Optional {
			k.addf(field, "optional would let everybody pass")
		}
		k.authentication(field, one)
	}
}

func (c *Config) checkCluster(name string) []error {
	cluster := c.Clusters[name]
	k := &checker{config: c, object: fmt.Sprintf("cluster %q", name)}
	if t := cluster.TLS; t != nil {
		k.authority("tls.authority", t.Authority)
		k.certificate("tls.certificate", t.Certificate)
	}
	for i := range cluster.Endpoints {
		if cluster.Endpoints[i].Address == "" {
			k.addf(fmt.Sprintf("endpoints[%d]", i), "has no address")
		}
	}
	if e := cluster.Errors; e != nil && (!(e.Share > 0) || e.Share > 1) {
		k.addf("error_breaker.share", "%v is not above 0 and at most 1", e.Share)
	}
	return k.faults
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
