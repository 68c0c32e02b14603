// Package identity says who is calling: it carries a Principal through
// contexts and, signed with the cluster key, from one process to the next.
//
//	principal.go  Principal, With and From
//	derive.go     secrets for other purposes
//	keys.go       Keys: the cluster key file, Sign and Verify
//
// The signed form is base64url(proto Principal) + "." + base64url(HMAC-SHA256)
// and travels in the header Header. It does not authenticate people (the
// gateway verifies their tokens) and does not authorise (kit/rpc does, by
// method). All of it is safe for concurrent use.
//
//	func OpenKeys(path string, clock func() time.Time) (*Keys, error)
//	func ParseKeys(data []byte, clock func() time.Time) (*Keys, error)
//	func (k *Keys) Sign(p Principal) (token string, err error)
//	func (k *Keys) Verify(token string) (Principal, error)
//	func With(ctx context.Context, p Principal) context.Context
//	func From(ctx context.Context) (Principal, bool)
package identity

import (
	"context"
	"time"

	optionsv1 "github.com/backlot-video/backlot/proto/gen/backlot/options/v1"
)

const (
	// Header carries the signed principal over every transport.
	Header = "Backlot-Principal"
	// MaxLife is the longest life of a signed principal.
	MaxLife = 60 * time.Second
	// DefaultTenant is the tenant where none is named.
	DefaultTenant = "main"
)

// Kind is a kind of caller.
type Kind = optionsv1.Principal

// The kinds of caller.
const (
	Anonymous = optionsv1.Principal_PRINCIPAL_ANONYMOUS
	Viewer    = optionsv1.Principal_PRINCIPAL_VIEWER
	Creator   = optionsv1.Principal_PRINCIPAL_CREATOR
	Operator  = optionsv1.Principal_PRINCIPAL_OPERATOR
	Service   = optionsv1.Principal_PRINCIPAL_SERVICE
)

// Principal is a caller.
type Principal struct {
	Kind     Kind
	ID       string    // account id (UUIDv7) of a person, name of a service, empty for Anonymous
	TenantID string    // 1 to 64 bytes
	Expires  time.Time // refused after it, to the microsecond
}

type contextKey struct{}

// With returns a context in which From finds p.
func With(ctx context.Context, p Principal) context.Context {
	return context.WithValue(ctx, contextKey{}, p)
}

// From returns the verified caller of the call that ctx belongs to, false
// where ctx belongs to none.
func From(ctx context.Context) (Principal, bool) {
	p, ok := ctx.Value(contextKey{}).(Principal)
	return p, ok
}

// Tenant returns the caller's tenant, DefaultTenant where ctx has no caller.
func Tenant(ctx context.Context) string {
	if p, ok := From(ctx); ok && p.TenantID != "" {
		return p.TenantID
	}
	return DefaultTenant
}
