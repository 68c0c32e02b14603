package object

import (
	"regexp"
	"strings"

	"github.com/backlot-video/backlot/kit/urlpath"
	gatewayv1 "github.com/backlot-video/backlot/proto/gen/backlot/gateway/v1"
)

func (f *finder) route(r *gatewayv1.Route) {
	for n, host := range r.GetHosts() {
		if !isHostPattern(host) {
			f.addf(at("hosts", n), "%q is no host name, nor one behind `*.`", host)
		}
	}
	f.path(r)
	for n, condition := range r.GetHeaders() {
		if !isToken(condition.GetName()) {
			f.addf(at("headers", n)+".name", "%q is no name of a header field", condition.GetName())
		}
		f.condition(at("headers", n), condition)
	}
	for n, condition := range r.GetQueries() {
		if condition.GetInvert() {
			f.addf(at("queries", n)+".invert", "is for headers only; put a route for the opposite before this one")
		}
		f.condition(at("queries", n), condition)
	}
	f.target(r)
	f.policy(r.GetPolicy())
}

func (f *finder) condition(path string, c *gatewayv1.ValueMatch) {
	if _, err := regexp.Compile(c.GetRegex()); err != nil {
		f.addf(path+".regex", "%v", err)
	}
}

// path checks what a route matches and what becomes of the path.
func (f *finder) path(r *gatewayv1.Route) {
	rewrite := r.GetPrefixRewrite()
	f.rewritten("prefix_rewrite", rewrite)
	f.rewritten("path_rewrite", r.GetPathRewrite())
	if rewrite != "" && r.GetPathRewrite() != "" {
		f.addf("path_rewrite", "is set together with prefix_rewrite; give one")
	}
	switch match := r.GetPath().GetMatch().(type) {
	case *gatewayv1.PathMatch_Exact:
		f.normal("path.exact", match.Exact)
	case *gatewayv1.PathMatch_Prefix:
		f.normal("path.prefix", match.Prefix)
		if strings.HasSuffix(rewrite, "/") && !strings.HasSuffix(match.Prefix, "/") {
			f.addf("prefix_rewrite", "ends with / and path.prefix does not: a path %s../x would leave %s; "+
				"let both end with /, and add a route for the exact path %s", match.Prefix, rewrite, match.Prefix)
		}
	case *gatewayv1.PathMatch_Template:
		f.normal("path.template", match.Template)
		f.template(match.Template, r.GetPathRewrite())
		return
	}
	if r.GetPathRewrite() != "" {
		f.addf("path_rewrite", "needs path.template; for other paths there is prefix_rewrite")
	}
}

func (f *finder) template(text, rewrite string) {
	template, err := urlpath.Parse(text)
	if err != nil {
		f.addf("path.template", "%q %v", text, err)
		return
	}
	if rewrite == "" {
		return
	}
	if err := template.CheckRewrite(rewrite); err != nil {
		f.addf("path_rewrite", "%q %v", rewrite, err)
	}
}

// normal refuses paths that no request has once its path is in normal form.
func (f *finder) normal(field, path string) {
	if path == "" || path[0] != '/' {
		return // the schema says so
	}
	if f.spaced(field, path) {
		return
	}
	normal, ok := urlpath.Normal(nil, []byte(path))
	switch {
	case !ok:
		f.addf(field, "%q is a path that is refused in requests", path)
	case string(normal) != path:
		f.addf(field, "%q never matches, since requests' paths are brought into normal form; write %q", path, normal)
	}
}

func (f *finder) spaced(field, path string) bool {
	spaced := strings.ContainsFunc(path, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '?' || r == '#' })
	if spaced {
		f.addf(field, "must not hold spaces, control characters, ? or #")
	}
	return spaced
}

func (f *finder) rewritten(field, path string) {
	if path == "" || f.spaced(field, path) {
		return
	}
	if path[0] != '/' {
		f.addf(field, "%q does not begin with /", path)
	}
}

// target checks where a route leads.
func (f *finder) target(r *gatewayv1.Route) {
	upstream := r.GetCluster() != "" || r.GetSplit() != nil
	if !upstream {
		for _, field := range []struct {
			name string
			set  bool
		}{
			{"path_rewrite", r.GetPathRewrite() != ""},
			{"host_rewrite", r.GetHostRewrite() != ""},
			{"mirrors", len(r.GetMirrors()) > 0},
			{"policy.hedge", r.GetPolicy().GetHedge() != nil},
			{"policy.retry", r.GetPolicy().GetRetry() != nil},
		} {
			if field.set {
				f.addf(field.name, "is for routes to a cluster or split")
			}
		}
	}
	if host := r.GetHostRewrite(); host != "" && !isHost(host) {
		f.addf("host_rewrite", "%q is no host name", host)
	}
	switch to := r.GetTarget().(type) {
	case *gatewayv1.Route_Split:
		f.split(to.Split)
	case *gatewayv1.Route_Redirect:
		f.redirect(r, to.Redirect)
	case *gatewayv1.Route_Answer:
		f.answer(to.Answer)
	}
}

func (f *finder) split(s *gatewayv1.Split) {
	var total uint64
	seen := map[string]bool{}
	for n, part := range s.GetClusters() {
		total += uint64(part.GetWeight())
		if seen[part.GetCluster()] {
			f.addf(at("split.clusters", n)+".cluster", "%q has a part already", part.GetCluster())
		}
		seen[part.GetCluster()] = true
		f.edits(at("split.clusters", n)+".request_headers", part.GetRequestHeaders())
		f.edits(at("split.clusters", n)+".response_headers", part.GetResponseHeaders())
	}
	if total == 0 {
		f.addf("split.clusters", "weights sum to 0: no part would get a request")
	}
}

func (f *finder) redirect(r *gatewayv1.Route, to *gatewayv1.Redirect) {
	if to.GetHost() != "" && !isHost(to.GetHost()) {
		f.addf("redirect.host", "%q is no host name", to.GetHost())
	}
	f.rewritten("redirect.path", to.GetPath())
	f.rewritten("redirect.prefix_rewrite", to.GetPrefixRewrite())
	if to.GetPath() != "" && to.GetPrefixRewrite() != "" {
		f.addf("redirect.prefix_rewrite", "is set together with redirect.path; give one")
	}
	if to.GetPrefixRewrite() != "" && r.GetPath().GetTemplate() != "" {
		f.addf("redirect.prefix_rewrite", "needs path.prefix or path.exact")
	}
	if to.GetScheme() == "" && to.GetHost() == "" && to.GetPort() == 0 && to.GetPath() == "" && to.GetPrefixRewrite() == "" && !to.GetStripQuery() {
		f.addf("redirect", "leads back to the request's own address; set scheme, host, port, path or prefix_rewrite")
	}
	if r.GetPrefixRewrite() != "" {
		f.addf("prefix_rewrite", "is for routes to a cluster or split; use redirect.prefix_rewrite")
	}
}

func (f *finder) answer(a *gatewayv1.Answer) {
	if !isText(a.GetContentType()) {
		f.addf("answer.content_type", "must not hold control characters")
	}
	if status := a.GetStatus(); a.GetBody() != "" && (status == 204 || status == 205 || status == 304) {
		f.addf("answer.body", "answers with status %d have no body", status)
	}
}
