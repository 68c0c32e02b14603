package edge

import (
	"bytes"
	"strings"

	"github.com/backlot-video/backlot/kit/urlpath"
)

// Normal brings a path into the form in which routes are matched and upstreams
// get it; see urlpath.Normal. What it refuses is answered 400.
func Normal(to, path []byte) (normal []byte, ok bool) { return urlpath.Normal(to, path) }

// AppendPath appends the path that the target sees. path is one that the route
// has matched.
func (r *Route) AppendPath(to, path []byte) []byte {
	switch {
	case r.PathRewrite != "":
		return r.appendRewrite(to, path)
	case r.PrefixRewrite == "":
		return append(to, path...)
	case r.Exact || r.Template:
		return append(to, r.PrefixRewrite...)
	}
	to = append(to, r.PrefixRewrite...)
	return append(to, path[min(len(r.Path), len(path)):]...)
}

// Rewrites tells that the target sees another path than the client's.
func (r *Route) Rewrites() bool { return r.PathRewrite != "" || r.PrefixRewrite != "" }

// appendRewrite walks both texts, so that nothing is kept beside the route.
func (r *Route) appendRewrite(to, path []byte) []byte {
	text := r.PathRewrite
	for text != "" {
		before, after, found := strings.Cut(text, "{")
		to = append(to, before...)
		if !found {
			break
		}
		name, rest, _ := strings.Cut(after, "}")
		to = append(to, captured(r.Path, name, path)...)
		text = rest
	}
	return to
}

// captured finds the value of a capture by walking template and path together.
func captured(template, name string, path []byte) []byte {
	template, path = strings.TrimPrefix(template, "/"), path[min(1, len(path)):]
	for template != "" {
		part, rest, _ := strings.Cut(template, "/")
		if inner, capture := strings.CutPrefix(part, "{"); capture {
			if inner, all := strings.CutSuffix(inner, "...}"); all && inner == name {
				return path
			}
			if len(inner) == len(name)+1 && inner[:len(name)] == name {
				value, _, _ := bytes.Cut(path, slash)
				return value
			}
		}
		_, path, _ = bytes.Cut(path, slash)
		template = rest
	}
	return nil
}
