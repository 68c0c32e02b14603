package exchange

// Field is one line of a header. Names keep the letters they came with and
// compare without regard to case.
type Field struct {
	Name  []byte
	Value []byte
	ID    Name // Other where the name is not one of ours
}

// Fields are lines in their order. A removed line has the ID Removed and is
// to be skipped by who writes them.
type Fields []Field

// Get returns the first value of a known name, nil where there is none.
func (f Fields) Get(id Name) []byte {
	for i := range f {
		if f[i].ID == id {
			return f[i].Value
		}
	}
	return nil
}

// Has tells whether a known name is there.
func (f Fields) Has(id Name) bool {
	for i := range f {
		if f[i].ID == id {
			return true
		}
	}
	return false
}

// Find returns the first value under any name, and whether there is one.
func (f Fields) Find(name string) ([]byte, bool) {
	for i := range f {
		if f[i].ID != Removed && EqualFold(f[i].Name, name) {
			return f[i].Value, true
		}
	}
	return nil, false
}

// Joined is Find for who asks for the value of the field as a whole: lines of
// one name are one value, with commas between them. It allocates where there
// are several.
func (f Fields) Joined(name string) (value []byte, found bool) {
	for i := range f {
		switch {
		case f[i].ID == Removed || !EqualFold(f[i].Name, name):
		case found:
			value = append(append(value[:len(value):len(value)], ','), f[i].Value...)
		default:
			value, found = f[i].Value, true
		}
	}
	return value, found
}

// Remove marks every line of a known name.
func (f Fields) Remove(id Name) {
	for i := range f {
		if f[i].ID == id {
			f[i].ID = Removed
		}
	}
}

// Set of known names.
type Set uint64

const _ = uint(64 - names) // each has a bit

// SetOf is the set of some names.
func SetOf(ids ...Name) Set {
	var s Set
	for _, id := range ids {
		s |= 1 << id
	}
	return s
}

// RemoveAll marks every line of the names of a set.
func (f Fields) RemoveAll(s Set) {
	for i := range f {
		if s>>(f[i].ID&63)&1 != 0 {
			f[i].ID = Removed
		}
	}
}

// RemoveName marks every line of any name.
func (f Fields) RemoveName(name string) {
	for i := range f {
		if EqualFold(f[i].Name, name) {
			f[i].ID = Removed
		}
	}
}

// Add appends a line. name and value must live as long as the exchange.
func (f *Fields) Add(id Name, name, value []byte) {
	*f = append(*f, Field{ID: id, Name: name, Value: value})
}

// Set replaces every line of a known name by one, under its usual spelling.
func (f *Fields) Set(id Name, value []byte) {
	f.Remove(id)
	f.Add(id, id.Bytes(), value)
}

// EqualFold compares ASCII without regard to case.
func EqualFold(a []byte, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(b) {
		if x, y := a[i], b[i]; x != y && lower(x) != lower(y) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// Name is a field name known by number, so that looking one up compares bytes.
type Name uint8

// The names. Those of one connection are known so that engines can tell them.
const (
	Other Name = iota
	Removed
	Accept
	AcceptEncoding
	AccessControlRequestHeaders
	AccessControlRequestMethod
	Age
	Allow
	Authorization
	CacheControl
	Connection
	ContentEncoding
	ContentLength
	ContentRange
	ContentType
	Cookie
	Date
	ETag
	Expect
	Forwarded
	GRPCStatus
	GRPCTimeout
	Host
	KeepAlive
	LastModified
	Location
	Origin
	BacklotPrincipal
	ProxyAuthenticate
	ProxyAuthorization
	ProxyConnection
	Range
	RetryAfter
	Server
	SetCookie
	TE
	Traceparent
	Tracestate
	Trailer
	TransferEncoding
	Upgrade
	UserAgent
	Vary
	Via
	WWWAuthenticate
	XAPIKey
	XForwardedFor
	XForwardedHost
	XForwardedProto
	XRequestID
	names
)

var spellings = [names]string{
	Accept: "Accept", AcceptEncoding: "Accept-Encoding",
	AccessControlRequestHeaders: "Access-Control-Request-Headers",
	AccessControlRequestMethod:  "Access-Control-Request-Method",
	Age:                         "Age", Allow: "Allow", Authorization: "Authorization", CacheControl: "Cache-Control",
	Connection: "Connection", ContentEncoding: "Content-Encoding", ContentLength: "Content-Length",
	ContentRange: "Content-Range", ContentType: "Content-Type", Cookie: "Cookie", Date: "Date", ETag: "Etag",
	Expect: "Expect", Forwarded: "Forwarded", GRPCStatus: "Grpc-Status", GRPCTimeout: "Grpc-Timeout",
	Host: "Host", KeepAlive: "Keep-Alive", LastModified: "Last-Modified", Location: "Location", Origin: "Origin",
	BacklotPrincipal: "Backlot-Principal", ProxyAuthenticate: "Proxy-Authenticate",
	ProxyAuthorization: "Proxy-Authorization", ProxyConnection: "Proxy-Connection", Range: "Range",
	RetryAfter: "Retry-After", Server: "Server", SetCookie: "Set-Cookie", TE: "Te", Traceparent: "Traceparent",
	Tracestate: "Tracestate", Trailer: "Trailer", TransferEncoding: "Transfer-Encoding", Upgrade: "Upgrade",
	UserAgent: "User-Agent", Vary: "Vary", Via: "Via", WWWAuthenticate: "Www-Authenticate", XAPIKey: "X-Api-Key",
	XForwardedFor: "X-Forwarded-For", XForwardedHost: "X-Forwarded-Host", XForwardedProto: "X-Forwarded-Proto",
	XRequestID: "X-Request-Id",
}

const longestName = len("Access-Control-Request-Headers")

// known finds the first name of a length and first letter, next another of
// the same, so that hardly ever more than one is compared.
var (
	known       [(longestName + 1) * letters]Name
	next        [names]Name
	spelledOnce [names][]byte
)

// letters are told apart by their lower five bits, in which case is not.
const letters = 32

func init() {
	for id := Accept; id < names; id++ {
		spelledOnce[id] = []byte(spellings[id])
		at := &known[len(spellings[id])*letters+int(spellings[id][0]%letters)]
		*at, next[id] = id, *at
	}
}

// NameOf finds the number of a name, Other where it has none.
func NameOf(name []byte) Name {
	if len(name) > longestName || len(name) == 0 {
		return Other
	}
	id := known[len(name)*letters+int(name[0]%letters)]
	for id != Other && !EqualFold(name, spellings[id]) {
		id = next[id]
	}
	return id
}

// String is the usual spelling; empty for Other and Removed.
func (n Name) String() string { return spellings[n] }

// Bytes is the usual spelling; not to be changed.
func (n Name) Bytes() []byte { return spelledOnce[n] }
