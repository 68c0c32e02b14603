package edge

import (
	"bytes"
	"strings"
	"sync"

	"github.com/backlot-video/backlot/kit/urlpath"
)

// router is a configuration's hosts in the form in which requests are looked
// up. It is built once and not changed.
type router struct {
	once     sync.Once
	exact    map[string]*table
	wildcard map[string]*table // by what follows the `*`, as in `.example.com`
	any      *table            // nil: unknown hosts have no routes
}

// table is the routes of one host.
type table struct {
	exact     map[string][]candidate
	prefixes  prefixNode
	templates segmentNode
	templated bool
}

// Compile builds what Match works by, so that the first request does not have
// to. Regular expressions that do not compile match nothing; Check reports
// them.
func (c *Config) Compile() { c.router.once.Do(c.compile) }

func (c *Config) compile() {
	r := &c.router
	r.exact, r.wildcard = map[string]*table{}, map[string]*table{}
	for i := range c.Hosts {
		t := newTable(c.Hosts[i].Routes)
		for _, domain := range c.Hosts[i].Domains {
			domain = strings.ToLower(domain)
			switch {
			case domain == "*":
				if r.any == nil {
					r.any = t
				}
			case strings.HasPrefix(domain, "*."):
				keepFirst(r.wildcard, domain[1:], t)
			default:
				keepFirst(r.exact, domain, t)
			}
		}
	}
}

func keepFirst(to map[string]*table, name string, t *table) {
	if _, taken := to[name]; !taken {
		to[name] = t
	}
}

func newTable(routes []Route) *table {
	t := &table{exact: map[string][]candidate{}}
	for position := range routes {
		route := &routes[position]
		one := candidate{
			route: route, position: position,
			headers: conditions(route.Headers), queries: conditions(route.Queries),
		}
		switch {
		case route.Template:
			if parsed, err := urlpath.Parse(route.Path); err == nil {
				t.templates.add(parsed, one)
				t.templated = true
			}
		case route.Exact:
			t.exact[route.Path] = append(t.exact[route.Path], one)
		default:
			t.prefixes.add(route.Path, one)
		}
	}
	return t
}

// find looks everywhere where the path may lead, for the route that comes
// first in the configuration.
func (t *table) find(l *lookup) {
	if len(t.exact) > 0 {
		l.take(t.exact[string(l.path)])
	}
	if t.templated && len(l.path) > 0 {
		t.templates.find(l.path[1:], l)
	}
	t.prefixes.find(l.path, l)
}

// longestHost is that of a name in DNS; longer ones are of no host but `*`.
const longestHost = 255

// table prefers the exact name, then the longest wildcard, then `*`.
func (c *Config) table(host []byte) *table {
	c.Compile()
	r := &c.router
	if len(r.exact)+len(r.wildcard) == 0 {
		return r.any
	}
	var buffer [longestHost]byte
	name := bareHost(buffer[:0], host)
	if len(r.exact) > 0 {
		if t := r.exact[string(name)]; t != nil {
			return t
		}
	}
	if len(r.wildcard) > 0 {
		// From the first dot on: the longest suffix comes first.
		for from := bytes.IndexByte(name, '.'); from >= 0; {
			if t := r.wildcard[string(name[from:])]; t != nil && from > 0 {
				return t
			}
			next := bytes.IndexByte(name[from+1:], '.')
			if next < 0 {
				break
			}
			from += 1 + next
		}
	}
	return r.any
}

// bareHost is a Host header in lower case without its port and its last dot,
// written over to, or empty where it is longer than any name.
func bareHost(to, host []byte) []byte {
	if len(host) > 0 && host[0] == '[' {
		if end := bytes.IndexByte(host, ']'); end > 0 {
			host = host[1:end]
		}
	} else if colon := bytes.IndexByte(host, ':'); colon >= 0 && bytes.IndexByte(host[colon+1:], ':') < 0 {
		host = host[:colon]
	}
	if n := len(host); n > 0 && host[n-1] == '.' {
		host = host[:n-1]
	}
	if len(host) > cap(to) {
		return to
	}
	to = to[:len(host)]
	for i, c := range host {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		to[i] = c
	}
	return to
}
