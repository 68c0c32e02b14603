package edge

import (
	"bytes"

	"github.com/backlot-video/backlot/kit/urlpath"
)

// prefixNode is a radix tree over the bytes of prefixes: as in xDS, a prefix
// matches by letters and need not end at a segment's end.
type prefixNode struct {
	label    string
	routes   []candidate
	first    []byte // first bytes of the children's labels
	children []*prefixNode
}

func (n *prefixNode) add(prefix string, one candidate) {
	if prefix == "" {
		n.routes = append(n.routes, one)
		return
	}
	at := bytes.IndexByte(n.first, prefix[0])
	if at < 0 {
		n.first = append(n.first, prefix[0])
		n.children = append(n.children, &prefixNode{label: prefix, routes: []candidate{one}})
		return
	}
	child := n.children[at]
	common := commonLength(child.label, prefix)
	if common < len(child.label) {
		// Split the label: what it had in common with prefix becomes a parent.
		parent := &prefixNode{label: child.label[:common], first: []byte{child.label[common]}, children: []*prefixNode{child}}
		child.label = child.label[common:]
		n.children[at], child = parent, parent
	}
	child.add(prefix[common:], one)
}

func commonLength(a, b string) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}

// find takes the routes of every prefix of a path.
func (n *prefixNode) find(path []byte, l *lookup) {
	for {
		l.take(n.routes)
		if len(path) == 0 {
			return
		}
		at := bytes.IndexByte(n.first, path[0])
		if at < 0 {
			return
		}
		n = n.children[at]
		if len(path) < len(n.label) || string(path[:len(n.label)]) != n.label {
			return
		}
		path = path[len(n.label):]
	}
}

// segmentNode is a tree over the segments of templates. Each node stands for
// the segments on the way to it.
type segmentNode struct {
	literal map[string]*segmentNode
	capture *segmentNode // any segment that is not empty
	routes  []candidate  // the path ends here
	rest    []candidate  // whatever follows the next slash
}

func (n *segmentNode) add(t urlpath.Template, one candidate) {
	for _, segment := range t.Segments {
		switch segment.Kind {
		case urlpath.Literal:
			if n.literal == nil {
				n.literal = map[string]*segmentNode{}
			}
			next := n.literal[segment.Text]
			if next == nil {
				next = &segmentNode{}
				n.literal[segment.Text] = next
			}
			n = next
		case urlpath.Capture:
			if n.capture == nil {
				n.capture = &segmentNode{}
			}
			n = n.capture
		case urlpath.Rest:
			n.rest = append(n.rest, one)
			return
		}
	}
	n.routes = append(n.routes, one)
}

// find takes the routes of every template that a path fits. path begins after
// a slash. No node is visited twice, so the work is bounded by the size of the
// tree whatever the path is.
func (n *segmentNode) find(path []byte, l *lookup) {
	l.take(n.rest)
	segment, rest, more := bytes.Cut(path, slash)
	if n.literal != nil {
		if next := n.literal[string(segment)]; next != nil {
			next.follow(rest, more, l)
		}
	}
	if n.capture != nil && len(segment) > 0 {
		n.capture.follow(rest, more, l)
	}
}

func (n *segmentNode) follow(rest []byte, more bool, l *lookup) {
	if more {
		n.find(rest, l)
		return
	}
	l.take(n.routes)
}

var slash = []byte{'/'}
