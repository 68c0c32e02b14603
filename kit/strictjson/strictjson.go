// Package strictjson reads proto messages from JSON and names a field that
// the message does not have by its path from the root, where protojson alone
// tells a line and a column of a text that nobody may have written.
package strictjson

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// Resolver finds the types of messages in google.protobuf.Any.
type Resolver interface {
	protoregistry.MessageTypeResolver
	protoregistry.ExtensionTypeResolver
}

// UnknownFieldError is a field that a message does not have.
type UnknownFieldError struct {
	Path    string // from the root, as "changes[0].put.spec.service"
	Message protoreflect.FullName
}

func (e *UnknownFieldError) Error() string {
	return fmt.Sprintf("%s: unknown field of %s", e.Path, e.Message)
}

// Unmarshal reads a message. types is protoregistry.GlobalTypes where it is
// nil. The error is an UnknownFieldError, or what protojson says without its
// prefix.
func Unmarshal(text []byte, into proto.Message, types Resolver) error {
	if types == nil {
		types = protoregistry.GlobalTypes
	}
	err := protojson.UnmarshalOptions{Resolver: types}.Unmarshal(text, into)
	if err == nil {
		return nil
	}
	var tree any
	if json.Unmarshal(text, &tree) == nil {
		if unknown := find(tree, into.ProtoReflect().Descriptor(), "", types); unknown != nil {
			return unknown
		}
	}
	return fmt.Errorf("%s", plain(err))
}

// plain is what protojson says without its prefix, which is unstable.
func plain(err error) string {
	text := strings.ReplaceAll(err.Error(), "\u00a0", " ")
	return strings.TrimPrefix(text, "proto: ")
}

// find is the first unknown field of a message, in the order of names. The
// depth is that which protojson and encoding/json allow.
func find(tree any, of protoreflect.MessageDescriptor, path string, types Resolver) *UnknownFieldError {
	members, isObject := tree.(map[string]any)
	if !isObject {
		return nil
	}
	switch {
	case of.FullName() == "google.protobuf.Any":
		url, _ := members["@type"].(string)
		inner, err := types.FindMessageByURL(url)
		if err != nil {
			return nil
		}
		if of = inner.Descriptor(); of.ParentFile().Package() == "google.protobuf" {
			return nil // "value" holds it in its own form
		}
		members = maps.Clone(members)
		delete(members, "@type")
	case of.ParentFile().Package() == "google.protobuf":
		return nil // forms of their own
	}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		at := strings.TrimPrefix(path+"."+name, ".")
		if strings.HasPrefix(name, "[") {
			continue // an extension
		}
		field := of.Fields().ByJSONName(name)
		if field == nil {
			field = of.Fields().ByTextName(name)
		}
		if field == nil {
			return &UnknownFieldError{Path: at, Message: of.FullName()}
		}
		if found := findIn(members[name], field, at, types); found != nil {
			return found
		}
	}
	return nil
}

// findIn looks into the messages of a field.
func findIn(tree any, field protoreflect.FieldDescriptor, path string, types Resolver) *UnknownFieldError {
	of := field.Message()
	switch {
	case of == nil:
		return nil
	case field.IsMap():
		if of = field.MapValue().Message(); of == nil {
			return nil
		}
		entries, _ := tree.(map[string]any)
		for _, key := range slices.Sorted(maps.Keys(entries)) {
			if found := find(entries[key], of, fmt.Sprintf("%s[%q]", path, key), types); found != nil {
				return found
			}
		}
		return nil
	case field.IsList():
		elements, _ := tree.([]any)
		for i, element := range elements {
			if found := find(element, of, fmt.Sprintf("%s[%d]", path, i), types); found != nil {
				return found
			}
		}
		return nil
	}
	return find(tree, of, path, types)
}
