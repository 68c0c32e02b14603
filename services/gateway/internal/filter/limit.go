package filter

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"math"
	"strconv"
	"time"

	"github.com/backlot-video/backlot/services/gateway/internal/edge"
	"github.com/backlot-video/backlot/services/gateway/internal/exchange"
	"github.com/backlot-video/backlot/services/gateway/internal/filter/bucket"
)

const maxLimits = 16

// limit is one rate limit of a route.
type limit struct {
	key    []keyPart
	table  *bucket.Table
	burst  float64
	lease  Lease // nil: of this gateway alone
	strict bool  // refuse while the configstore is away
	policy []byte
	name   []byte // as a structured field's string
}

// keyPart is a part of what requests are counted by.
type keyPart struct {
	kind  keyKind
	field fieldName // of keyHeader
	name  []byte    // of keyCookie
}

type keyKind uint8

const (
	keyHeader keyKind = iota
	keyCookie
	keySource
	keySubject
)

// compileLimits finds buckets that a route had before, where the limit is the
// same.
func (e *Env) compileLimits(route *edge.Route) ([]limit, error) {
	policies := route.Policy.RateLimits
	if len(policies) > maxLimits {
		return nil, fmt.Errorf("at most %d", maxLimits)
	}
	var limits []limit
	var faults []error
	for i := range policies {
		made, err := e.compileLimit(route, &policies[i])
		if err != nil {
			faults = append(faults, fmt.Errorf("[%d]: %w", i, err))
		}
		limits = append(limits, made)
	}
	return limits, errors.Join(faults...)
}

func (e *Env) compileLimit(route *edge.Route, policy *edge.RateLimit) (limit, error) {
	size := bucket.Limit{Rate: policy.Rate, Burst: policy.Burst}
	if size.Burst == 0 {
		size.Burst = max(size.Rate, 1)
	}
	if err := size.Check(); err != nil {
		return limit{}, err
	}
	name := policy.Name
	if name == "" {
		name = "default"
	}
	if !isToken(name) {
		return limit{}, fmt.Errorf("name: %q is not letters, digits and -_. ", name)
	}
	l := limit{strict: policy.Strict, burst: size.Burst, name: []byte(name)}
	for _, part := range policy.Key {
		made, err := compileKey(part)
		if err != nil {
			return limit{}, fmt.Errorf("key: %w", err)
		}
		l.key = append(l.key, made)
	}
	kept := fmt.Sprintf("%s\x00%s\x00%+v %+v %d", route.Name, name, policy.Key, size, policy.MaxKeys)
	l.table, _ = e.tables.take(kept, e.generation, func() (*bucket.Table, error) { return bucket.New(size, policy.MaxKeys), nil })
	if policy.Global {
		if e.config.Quota == nil {
			return limit{}, errors.New("global: this gateway has no quota of the configstore")
		}
		l.lease = e.config.Quota.Limit(route.Name+"/"+name, size.Rate, size.Burst)
	}
	// draft-ietf-httpapi-ratelimit-headers: quota and the seconds that fill it.
	l.policy = fmt.Appendf(nil, `"%s";q=%d;w=%d`, name, int64(size.Burst), max(int64(math.Ceil(size.Burst/size.Rate)), 1))
	return l, nil
}

func compileKey(key edge.HashKey) (keyPart, error) {
	switch {
	case key.Header != "":
		if !isToken(key.Header) {
			return keyPart{}, fmt.Errorf("header: %q is not a header name", key.Header)
		}
		return keyPart{kind: keyHeader, field: nameOf(key.Header)}, nil
	case key.Cookie != "":
		if !isToken(key.Cookie) {
			return keyPart{}, fmt.Errorf("cookie: %q is not a cookie's name", key.Cookie)
		}
		return keyPart{kind: keyCookie, name: []byte(key.Cookie)}, nil
	case key.SourceIP:
		return keyPart{kind: keySource}, nil
	case key.Subject:
		return keyPart{kind: keySubject}, nil
	}
	return keyPart{}, errors.New("none of header, cookie, source_ip, subject is set")
}

// of is a part of a request's key. Requests that lack it share one bucket.
func (p *keyPart) of(x *exchange.Exchange, room []byte) []byte {
	switch p.kind {
	case keyHeader:
		return p.field.valueIn(x.Request.Fields)
	case keyCookie:
		return cookie(x.Request.Fields, p.name)
	case keySource:
		return appendSource(room[:0], x)
	default:
		if len(x.Subject) > 0 {
			return x.Subject
		}
		room = append(room[:0], x.Principal.TenantID...)
		room = append(room, 0)
		return append(room, x.Principal.ID...)
	}
}

// appendSource writes the address that a request came from: of IPv6 the first
// half, as a single customer commands all of the other.
func appendSource(to []byte, x *exchange.Exchange) []byte {
	if x.From.Is4() {
		four := x.From.As4()
		return append(to, four[:]...)
	}
	sixteen := x.From.As16()
	return append(to, sixteen[:8]...)
}

// cookie is the value of a cookie.
func cookie(fields exchange.Fields, name []byte) []byte {
	for i := range fields {
		if fields[i].ID != exchange.Cookie {
			continue
		}
		for rest := fields[i].Value; len(rest) > 0; {
			var pair []byte
			pair, rest, _ = bytes.Cut(rest, []byte{';'})
			key, value, found := bytes.Cut(bytes.TrimSpace(pair), []byte{'='})
			if found && bytes.Equal(key, name) {
				return value
			}
		}
	}
	return nil
}

var seed = maphash.MakeSeed()

// hash of a request's key. With 64 bits and a seed of this process two keys of
// 100,000 share a bucket once in 4 billion times.
func (l *limit) hash(x *exchange.Exchange) uint64 {
	if len(l.key) == 0 {
		return 0
	}
	var room [256]byte
	if len(l.key) == 1 {
		return maphash.Bytes(seed, l.key[0].of(x, room[:]))
	}
	var h maphash.Hash
	h.SetSeed(seed)
	for i := range l.key {
		text := l.key[i].of(x, room[:])
		var length [4]byte
		binary.LittleEndian.PutUint32(length[:], uint32(len(text)))
		h.Write(length[:])
		h.Write(text)
	}
	return h.Sum64()
}

// text of a request's key, the same at every gateway.
func (l *limit) text(x *exchange.Exchange) []byte {
	var room, whole [256]byte
	joined := whole[:0]
	for i := range l.key {
		part := l.key[i].of(x, room[:])
		joined = binary.AppendUvarint(joined, uint64(len(part)))
		joined = append(joined, part...)
	}
	return x.Arena.Copy(joined)
}

// limited takes a token of each limit. One that is refused by a later limit
// has used tokens of those before.
func (c *Chain) limited(x *exchange.Exchange) bool {
	for i := range c.limits {
		l := &c.limits[i]
		wait, why, taken := l.take(x)
		if !taken {
			c.tooMany(x, l, wait, why)
			return false
		}
	}
	return true
}

func (l *limit) take(x *exchange.Exchange) (time.Duration, cause, bool) {
	now := x.Began.UnixNano()
	if l.lease == nil {
		wait, taken := l.table.Take(l.hash(x), 1, now)
		return wait, causeRate, taken
	}
	switch grant := l.lease.Take(l.text(x), x.Began); {
	case grant.Kind == Granted:
		return 0, 0, true
	case grant.Kind == Refused:
		return grant.Wait, causeQuota, false
	case grant.Kind == Away && l.strict:
		return time.Second, causeQuotaAway, false
	}
	// This gateway's share of the limit: a token costs as many as there are
	// gateways, but no more than a bucket holds.
	wait, taken := l.table.Take(l.hash(x), min(1/l.lease.Share(), l.burst), now)
	return wait, causeQuota, taken
}

var (
	rateLimitPolicy = []byte("RateLimit-Policy")
	rateLimit       = []byte("RateLimit")
)

func (c *Chain) tooMany(x *exchange.Exchange, l *limit, wait time.Duration, why cause) {
	c.refuse(x, 429, "resource_exhausted", "too many requests; try again later", why)
	seconds := max(int64((wait+time.Second-1)/time.Second), 1)
	fields := &x.Response.Fields
	fields.Set(exchange.RetryAfter, x.Arena.Int(seconds))
	fields.Add(exchange.Other, rateLimitPolicy, l.policy)
	var room [128]byte
	text := append(room[:0], '"')
	text = append(text, l.name...)
	text = append(text, `";r=0;t=`...)
	text = strconv.AppendInt(text, seconds, 10)
	fields.Add(exchange.Other, rateLimit, x.Arena.Copy(text))
}
