package edge

// Fields are the header fields of a request, as far as routes ask for them.
type Fields interface {
	// Joined returns the value under a name, whatever its letters' case; several
	// lines are one value, with commas between them.
	Joined(name string) (value []byte, found bool)
}

// Match returns the route of a request, nil where there is none. host may have
// a port, path is in its normal form (Normal) and without the query. Within the
// host's routes the first that matches is taken: the control plane puts the
// most specific first. methodKnown is false where only the method kept a route
// from matching. It does not allocate once the configuration is compiled.
func (c *Config) Match(host, method, path, query []byte, fields Fields) (route *Route, methodKnown bool) {
	l := lookup{method: method, path: path, query: query, fields: fields, methodKnown: true, best: none}
	if t := c.table(host); t != nil {
		t.find(&l)
	}
	return l.route, l.methodKnown || l.route != nil
}

// Methods are those that the routes of a path take, for the Allow of an answer
// 405. It is not meant for the plain path.
func (c *Config) Methods(host, path, query []byte, fields Fields) []string {
	l := lookup{path: path, query: query, fields: fields, best: none, collect: true}
	if t := c.table(host); t != nil {
		t.find(&l)
	}
	return l.methods
}

// none is above the position of every route.
const none = int(^uint(0) >> 1)

// lookup is the state of one match.
type lookup struct {
	method, path, query []byte
	fields              Fields

	route       *Route
	best        int // position of route among the host's
	methodKnown bool

	collect bool
	methods []string
}

// take looks at routes of one path, in the order of the configuration, for a
// better one than what was found.
func (l *lookup) take(list []candidate) {
	for i := range list {
		one := &list[i]
		if one.position >= l.best {
			return
		}
		if !one.holds(l) {
			continue
		}
		if l.collect {
			l.methods = appendNew(l.methods, one.route.Methods)
			continue
		}
		if one.takesMethod(l.method) {
			l.route, l.best = one.route, one.position
			return
		}
		l.methodKnown = false
	}
}

// candidate is a route where its path has matched.
type candidate struct {
	route    *Route
	position int
	headers  []condition
	queries  []condition
}

func (c *candidate) takesMethod(method []byte) bool {
	if len(c.route.Methods) == 0 {
		return true
	}
	for _, one := range c.route.Methods {
		if string(method) == one {
			return true
		}
	}
	return false
}

func (c *candidate) holds(l *lookup) bool {
	for i := range c.headers {
		one := &c.headers[i]
		var value []byte
		found := false
		if l.fields != nil {
			value, found = l.fields.Joined(one.name)
		}
		if !one.holdsInHeader(value, found) {
			return false
		}
	}
	for i := range c.queries {
		if !c.queries[i].holdsInQuery(l.query) {
			return false
		}
	}
	return true
}

func appendNew(to, values []string) []string {
next:
	for _, value := range values {
		for _, known := range to {
			if known == value {
				continue next
			}
		}
		to = append(to, value)
	}
	return to
}
