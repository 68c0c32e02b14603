package object

import (
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// reference says that a string field of a kind, or a list of them, names
// objects of another, in the same namespace. An empty field refers to nothing.
type reference struct {
	kind, target string
	field        string // path through messages and lists
}

var references = []reference{
	{kind: "Route", field: "cluster", target: "Cluster"},
	{kind: "Route", field: "split.clusters.cluster", target: "Cluster"},
	{kind: "Route", field: "mirrors.cluster", target: "Cluster"},
	{kind: "Route", field: "policy.external_authorization.cluster", target: "Cluster"},
	{kind: "Route", field: "policy.jwt.secret", target: "Secret"},
	{kind: "Route", field: "policy.api_key.secret", target: "Secret"},
	{kind: "Route", field: "policy.any_of.jwt.secret", target: "Secret"},
	{kind: "Route", field: "policy.any_of.api_key.secret", target: "Secret"},
	{kind: "Cluster", field: "tls.authority", target: "Secret"},
	{kind: "Cluster", field: "tls.certificate", target: "Secret"},
	{kind: "Listener", field: "tls.certificates", target: "Secret"},
	{kind: "Listener", field: "tls.client_authority", target: "Secret"},
}

// Target is an object that another one refers to.
type Target struct {
	Key
	// Field of the referring spec, as in `split.clusters[1].cluster`.
	Field string
}

// Targets returns what an object refers to.
func Targets(key Key, spec proto.Message) []Target {
	var targets []Target
	for _, r := range references {
		if r.kind != key.Kind {
			continue
		}
		names(spec.ProtoReflect(), r.field, "", func(field, name string) {
			target := Key{Tenant: key.Tenant, Kind: r.target, Namespace: key.Namespace, Name: name}
			targets = append(targets, Target{target.Normal(), field})
		})
	}
	return targets
}

// names walks a path of fields and gives each text at its end, with the path
// that has led there.
func names(message protoreflect.Message, path, walked string, give func(field, name string)) {
	first, rest, deeper := strings.Cut(path, ".")
	field := message.Descriptor().Fields().ByName(protoreflect.Name(first))
	if field == nil || field.IsMap() || !message.Has(field) {
		return
	}
	at := strings.TrimPrefix(walked+"."+first, ".")
	take := func(at string, value protoreflect.Value) {
		switch {
		case deeper && field.Message() != nil:
			names(value.Message(), rest, at, give)
		case !deeper && field.Kind() == protoreflect.StringKind && value.String() != "":
			give(at, value.String())
		}
	}
	if !field.IsList() {
		take(at, message.Get(field))
		return
	}
	list := message.Get(field).List()
	for n := range list.Len() {
		take(fmt.Sprintf("%s[%d]", at, n), list.Get(n))
	}
}

// Referrers returns the kinds whose objects may refer to a kind.
func Referrers(kind string) []string {
	var kinds []string
	for _, r := range references {
		if r.target == kind && !slices.Contains(kinds, r.kind) {
			kinds = append(kinds, r.kind)
		}
	}
	return kinds
}

// Linked reports whether a kind refers or is referred to: releases that touch
// such kinds must see each other.
func Linked(kind string) bool {
	for _, r := range references {
		if r.kind == kind || r.target == kind {
			return true
		}
	}
	return false
}
