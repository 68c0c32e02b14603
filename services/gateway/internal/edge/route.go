package edge

// Target says what serves a route.
type Target int

// The targets.
const (
	ToCluster Target = iota
	ToMedia
	ToConsole
	ToRedirect
	ToAnswer
)

// Route sends some requests to a target.
type Route struct {
	Name string

	// What it matches: everything that is set must hold.
	Path     string // exact path, prefix, or template such as /videos/{id}/parts/{rest...}
	Exact    bool
	Template bool
	Methods  []string // none: every method
	Headers  []HeaderMatch
	Queries  []HeaderMatch // of the query's parameters

	// Where it leads.
	Target   Target
	Cluster  string            // of ToCluster without a split
	Split    []WeightedCluster // of ToCluster; none: Cluster gets all
	Bucket   string            // of ToMedia
	Redirect *Redirect         // of ToRedirect
	Answer   *Answer           // of ToAnswer
	Mirrors  []Mirror

	PrefixRewrite string // replaces the matched prefix or the whole exact path
	PathRewrite   string // template over the names of Path's template
	HostRewrite   string // Host that the upstream sees; empty: the client's
	Policy        Policy
}

// HeaderMatch is a condition on one field of the header.
type HeaderMatch struct {
	Name    string
	Exact   string // one of Exact, Prefix, Suffix, Regex, Present
	Prefix  string
	Suffix  string
	Regex   string // RE2, must match all of the value
	Present bool
	Invert  bool
}

// WeightedCluster is a part of a split. A request goes to the same part each
// time where Route.Policy.Hash gives it a key.
type WeightedCluster struct {
	Cluster string
	Weight  uint32
	// RequestHeaders and ResponseHeaders are applied for this part alone.
	RequestHeaders, ResponseHeaders HeaderEdits
}

// Mirror sends copies of some requests to another cluster, whose answers
// nobody reads. Bodies above the mirror's bound are not copied.
type Mirror struct {
	Cluster         string
	PartsPerMillion uint32
}

// Redirect answers with another address.
type Redirect struct {
	Status        int // 301, 302, 303, 307 or 308
	Scheme        string
	Host          string
	Port          uint32
	Path          string // whole path; empty: PrefixRewrite or the request's
	PrefixRewrite string
	StripQuery    bool
}

// Answer is a fixed one.
type Answer struct {
	Status      int
	ContentType string
	Body        []byte // at most MaxAnswer
}

// MaxAnswer bounds the body of a fixed answer.
const MaxAnswer = 64 << 10
