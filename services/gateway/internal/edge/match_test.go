package edge_test

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/backlot-video/backlot/services/gateway/internal/edge"
)

// TestMatchIsWhatALookAtEachRouteFinds compares the compiled router with the
// definition of a match, on random routes and requests.
func TestMatchIsWhatALookAtEachRouteFinds(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 1))
	pick := func(of ...string) string { return of[r.IntN(len(of))] }
	segment := func() string { return pick("a", "b", "ab", "abc", "", "c") }
	for round := range 60 {
		routes := make([]edge.Route, r.IntN(40))
		for i := range routes {
			route := edge.Route{Name: fmt.Sprint(i), Path: "/" + segment() + "/" + segment()}
			switch r.IntN(3) {
			case 0:
				route.Exact = true
			case 1:
				route.Template = true
				route.Path = "/" + pick("a", "{x}", "b") + "/" + pick("{y}", "c", "{y...}")
			}
			if r.IntN(3) == 0 {
				route.Methods = []string{pick("GET", "POST")}
			}
			if r.IntN(4) == 0 {
				route.Headers = []edge.HeaderMatch{{Name: "x", Exact: pick("1", "2"), Invert: r.IntN(2) == 0}}
			}
			routes[i] = route
		}
		c := &edge.Config{Hosts: []edge.Host{{Domains: []string{"*"}, Routes: routes}}}
		for range 200 {
			path, method := "/"+segment()+"/"+segment()+pick("", "/", "/a"), pick("GET", "POST", "PUT")
			f := fields{}
			if r.IntN(2) == 0 {
				f["x"] = pick("1", "2")
			}
			want, wantKnown := slow(routes, method, path, f)
			got, known := match(c, "any", method, path, f)
			if got != want || known != wantKnown {
				t.Fatalf("seed %d round %d: %s %s %v: %q %v, want %q %v of\n%+v", seed, round, method, path, f, got, known, want, wantKnown, routes)
			}
		}
	}
}

// slow is the definition of a match.
func slow(routes []edge.Route, method, path string, f fields) (string, bool) {
	known := true
	for _, r := range routes {
		fits := strings.HasPrefix(path, r.Path)
		if r.Exact {
			fits = path == r.Path
		}
		if r.Template {
			pattern := regexp.MustCompile(`\{[a-z]+\.\.\.\}`).ReplaceAllString(r.Path, ".*")
			fits = regexp.MustCompile("^" + regexp.MustCompile(`\{[a-z]+\}`).ReplaceAllString(pattern, "[^/]+") + "$").MatchString(path)
		}
		for _, h := range r.Headers {
			value, found := f[h.Name]
			fits = fits && found && (value == h.Exact) != h.Invert
		}
		if !fits {
			continue
		}
		if len(r.Methods) == 0 || slices.Contains(r.Methods, method) {
			return r.Name, true
		}
		known = false
	}
	return "", known
}

// many is n routes of all sorts over a hundred hosts.
func many(n int) *edge.Config {
	c := &edge.Config{Clusters: map[string]edge.Cluster{"shop": {}}}
	hosts := max(1, n/100)
	for h := range hosts {
		host := edge.Host{Domains: []string{fmt.Sprintf("shop-%d.example.com", h), fmt.Sprintf("*.shop-%d.example.com", h)}}
		for i := range n / hosts {
			r := edge.Route{Name: fmt.Sprint(h, "/", i), Cluster: "shop"}
			switch i % 4 {
			case 0:
				r.Path, r.Exact = fmt.Sprintf("/v1/items/%d", i), true
			case 1:
				r.Path = fmt.Sprintf("/v1/groups/%d/", i)
			case 2:
				r.Path, r.Template = fmt.Sprintf("/v1/users/{user}/things-%d/{thing}", i), true
			case 3:
				r.Path, r.Methods = fmt.Sprintf("/v2/%d.", i), []string{"POST", "GET"}
				r.Headers = []edge.HeaderMatch{{Name: "x-version", Prefix: "2"}}
			}
			host.Routes = append(host.Routes, r)
		}
		host.Routes = append(host.Routes, edge.Route{Name: "rest", Path: "/", Cluster: "shop"})
		c.Hosts = append(c.Hosts, host)
	}
	return c
}

// oneHost is n routes of a single host.
func oneHost(n int) *edge.Config {
	c := many(n)
	all := edge.Host{Domains: []string{"*"}}
	for h := range c.Hosts {
		for _, r := range c.Hosts[h].Routes {
			r.Path = fmt.Sprintf("/h%d%s", h, r.Path)
			all.Routes = append(all.Routes, r)
		}
	}
	c.Hosts = []edge.Host{all}
	return c
}

type request struct{ host, path []byte }

func requests(n int, prefix bool) []request {
	var list []request
	for i := range 1000 {
		h, at := i%max(1, n/100), i%100
		path := [4]string{"/v1/items/%d", "/v1/groups/%d/x/y", "/v1/users/7/things-%d/9", "/v2/%d.Service/Call"}[at%4]
		path = fmt.Sprintf(path, at)
		if prefix {
			path = fmt.Sprintf("/h%d%s", h, path)
		}
		list = append(list, request{fmt.Appendf(nil, "Shop-%d.example.com:8080", h), []byte(path)})
	}
	return list
}

func TestMatchDoesNotAllocate(t *testing.T) {
	c := many(1000)
	c.Hosts[0].Routes = append([]edge.Route{{Name: "q", Path: "/q", Cluster: "shop", Queries: []edge.HeaderMatch{{Name: "a", Regex: "x+"}, {Name: "b", Exact: "y"}}}}, c.Hosts[0].Routes...)
	if err := c.Check(); err != nil {
		t.Fatal(err)
	}
	list, get := requests(1000, false), []byte("GET")
	host, path, query := []byte("shop-0.example.com"), []byte("/q"), []byte("b=%79&a=xx")
	f := fixedField("2024")
	var n int
	if allocs := testing.AllocsPerRun(2000, func() {
		one := list[n%len(list)]
		n++
		if route, _ := c.Match(one.host, get, one.path, nil, f); route == nil || route.Name == "rest" {
			t.Fatalf("no route for %s%s", one.host, one.path)
		}
		if route, _ := c.Match(host, get, path, query, f); route == nil || route.Name != "q" {
			t.Fatal("no route for the query")
		}
	}); allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}

// fixedField gives one value under any name.
type fixedField string

var fixed = []byte("2024")

func (fixedField) Joined(string) ([]byte, bool) { return fixed, true }

func BenchmarkMatch(b *testing.B) {
	var f edge.Fields = fixedField("")
	get := []byte("GET")
	for _, n := range []int{1000, 10_000} {
		for name, c := range map[string]*edge.Config{"hosts": many(n), "one-host": oneHost(n)} {
			list := requests(n, name == "one-host")
			c.Compile()
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					one := &list[i%len(list)]
					if route, _ := c.Match(one.host, get, one.path, nil, f); route == nil {
						b.Fatal("no route")
					}
				}
			})
		}
	}
}

func BenchmarkCompile(b *testing.B) {
	for _, n := range []int{1000, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			hosts := many(n).Hosts
			for b.Loop() {
				c := &edge.Config{Hosts: hosts}
				c.Compile()
			}
		})
	}
}
