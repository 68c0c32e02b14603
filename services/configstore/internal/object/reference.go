package object

import (
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// reference says that a string field of a kind names an object of another, in
// the same namespace. An empty field refers to nothing.
type reference struct {
	kind, target string
	field        protoreflect.Name
}

var references = []reference{
	{kind: "Route", field: "cluster", target: "Cluster"},
}

// Target is an object that another one refers to.
type Target struct {
	Key
	// Field of the referring spec.
	Field string
}

// Targets returns what an object refers to.
func Targets(key Key, spec proto.Message) []Target {
	var targets []Target
	for _, r := range references {
		if r.kind != key.Kind {
			continue
		}
		message := spec.ProtoReflect()
		field := message.Descriptor().Fields().ByName(r.field)
		if field == nil || field.Kind() != protoreflect.StringKind || field.IsList() {
			continue
		}
		if name := message.Get(field).String(); name != "" {
			target := Key{Tenant: key.Tenant, Kind: r.target, Namespace: key.Namespace, Name: name}
			targets = append(targets, Target{target.Normal(), string(r.field)})
		}
	}
	return targets
}

// Referrers returns the kinds whose objects may refer to a kind.
func Referrers(kind string) []string {
	var kinds []string
	for _, r := range references {
		if r.target == kind {
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
