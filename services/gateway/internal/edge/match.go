package edge

import (
	"slices"
	"strings"
)

// Match returns the route of a request, nil where there is none. host may
// have a port. methodKnown is false where only the method kept every route
// of the path from matching.
func (c *Config) Match(host, method, path string) (route *Route, methodKnown bool) {
	found := c.host(bareHost(host))
	if found == nil {
		return nil, true
	}
	methodKnown = true
	for i := range found.Routes {
		r := &found.Routes[i]
		if !r.matchesPath(path) {
			continue
		}
		if len(r.Methods) == 0 || slices.Contains(r.Methods, method) {
			return r, true
		}
		methodKnown = false
	}
	return nil, methodKnown
}

// matchesPath: a prefix matches by letters, as in xDS.
func (r *Route) matchesPath(path string) bool {
	if r.Exact {
		return path == r.Path
	}
	return strings.HasPrefix(path, r.Path)
}

// host prefers the exact name, then the longest wildcard, then `*`.
func (c *Config) host(name string) *Host {
	var best *Host
	length := -1
	for i := range c.Hosts {
		for _, domain := range c.Hosts[i].Domains {
			if n := domainMatch(domain, name); n > length {
				best, length = &c.Hosts[i], n
			}
		}
	}
	return best
}

// domainMatch is how specific a match is, -1 for none.
func domainMatch(domain, name string) int {
	switch {
	case domain == "*":
		return 0
	case strings.HasPrefix(domain, "*."):
		if suffix := domain[1:]; len(name) > len(suffix) && strings.HasSuffix(name, suffix) {
			return len(suffix)
		}
		return -1
	case domain == name:
		return 1 << 16
	default:
		return -1
	}
}

// bareHost is a Host header in lower case without its port.
func bareHost(host string) string {
	host = strings.ToLower(host)
	if strings.HasPrefix(host, "[") {
		if end := strings.IndexByte(host, ']'); end > 0 {
			return host[1:end]
		}
		return host
	}
	if colon := strings.LastIndexByte(host, ':'); colon >= 0 && strings.IndexByte(host, ':') == colon {
		return host[:colon]
	}
	return host
}

// Rewrite is the path that the target sees.
func (r *Route) Rewrite(path string) string {
	if r.PrefixRewrite == "" {
		return path
	}
	if r.Exact {
		return r.PrefixRewrite
	}
	return r.PrefixRewrite + strings.TrimPrefix(path, r.Path)
}
