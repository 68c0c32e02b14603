// Package object knows what a configuration object is: its key, its kind, and
// whether its spec is good.
//
//	object.go     Key, limits
//	kind.go       Kinds: registering kinds by descriptors, checking specs
//	descriptor.go descriptor sets to types, shared among kinds; compatibility
//	semantic.go   what the schemas of Backlot's own kinds cannot say; route.go,
//	              policy.go, cluster.go and secret.go are its parts
//	redact.go     what of an object must not be seen
//	reference.go  which kinds refer to which
//	fault.go      what is wrong with a release, by field path
//	builtin.go    the kinds that Backlot's services use
//
// It does no I/O. Kinds is safe for concurrent use, the rest are values.
package object

import (
	"errors"
	"strings"
)

// Limits.
const (
	// MaxSpecBytes is the size of one spec in wire format.
	MaxSpecBytes = 512 << 10
	// MaxReleaseBytes is the size of a release's specs together.
	MaxReleaseBytes = 4 << 20
	// MaxDescriptorBytes is the size of a kind's descriptors.
	MaxDescriptorBytes = 1 << 20
	// MaxKinds is the number of kinds.
	MaxKinds = 1000
)

// DefaultNamespace is what an empty namespace means.
const DefaultNamespace = "default"

// InstanceKind is the kind of objects that the register alone writes.
const InstanceKind = "Instance"

// ErrPath is the answer to a store's key that names no object.
var ErrPath = errors.New("not the path of an object")

// Root is the prefix of all objects' paths in the store.
const Root = "/backlot/v1/"

// Key names an object among all tenants.
type Key struct {
	Tenant, Kind, Namespace, Name string
}

// Normal returns the key with the default namespace filled in.
func (k Key) Normal() Key {
	if k.Namespace == "" {
		k.Namespace = DefaultNamespace
	}
	return k
}

// Path is the key in the store: /backlot/v1/tenant/kind/namespace/name.
func (k Key) Path() string {
	return Root + k.Tenant + "/" + k.Kind + "/" + k.Normal().Namespace + "/" + k.Name
}

// Prefix is the beginning of the paths of a kind's objects in a namespace; in
// all namespaces where it is empty.
func Prefix(tenant, kind, namespace string) string {
	prefix := Root + tenant + "/" + kind + "/"
	if namespace != "" {
		prefix += namespace + "/"
	}
	return prefix
}

// ParsePath is the inverse of Path.
func ParsePath(path string) (Key, error) {
	rest, found := strings.CutPrefix(path, Root)
	parts := strings.Split(rest, "/")
	if !found || len(parts) != 4 {
		return Key{}, ErrPath
	}
	for _, part := range parts {
		if part == "" {
			return Key{}, ErrPath
		}
	}
	return Key{Tenant: parts[0], Kind: parts[1], Namespace: parts[2], Name: parts[3]}, nil
}

// String is the key for people: Kind namespace/name.
func (k Key) String() string { return k.Kind + " " + k.Normal().Namespace + "/" + k.Name }
