package catalog

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/backlot-video/backlot/services/rules/fact"
)

// Errors of fact types.
var (
	ErrUnknownFactType = errors.New("unknown fact type")
	ErrBadFactType     = errors.New("bad fact type")
)

// factType is a type of facts that can be judged.
type factType struct {
	schema   *fact.Schema
	revision uint32
	builtin  bool
	sample   *sample
}

// AddBuiltin makes a linked message known as a fact type, revision 1.
func (c *Catalog) AddBuiltin(message protoreflect.MessageDescriptor) error {
	schema, err := fact.New(message, fact.Config{})
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.types[schema.Name()] = &factType{schema: schema, revision: 1, builtin: true, sample: &sample{}}
	return nil
}

// PutFactType makes a message of a descriptor set known, or a newer revision
// of it. Its rulesets are compiled again.
func (c *Catalog) PutFactType(name string, set *descriptorpb.FileDescriptorSet, revision uint32) error {
	err := c.putFactType(name, set, revision)
	if err != nil {
		c.metrics.rejections.Inc()
		c.config.Log.Error("fact type refused", "fact_type", name, "err", err)
	}
	return err
}

func (c *Catalog) putFactType(name string, set *descriptorpb.FileDescriptorSet, revision uint32) error {
	files, err := protodesc.NewFiles(set)
	if err != nil {
		return fmt.Errorf("%w: %s: %w", ErrBadFactType, name, err)
	}
	found, err := files.FindDescriptorByName(protoreflect.FullName(name))
	if err != nil {
		return fmt.Errorf("%w: its descriptors have no %s", ErrBadFactType, name)
	}
	message, ok := found.(protoreflect.MessageDescriptor)
	if !ok {
		return fmt.Errorf("%w: %s is no message", ErrBadFactType, name)
	}
	schema, err := fact.New(message, fact.Config{})
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	recent := &sample{}
	if known := c.types[name]; known != nil {
		recent = known.sample
		if known.builtin {
			return fmt.Errorf("%w: %s is built in", ErrBadFactType, name)
		}
		if revision < known.revision {
			return fmt.Errorf("%w: %s has revision %d already, got %d", ErrBadFactType, name, known.revision, revision)
		}
	}
	c.types[name] = &factType{schema: schema, revision: revision, sample: recent}
	c.config.Log.Info("fact type known", "fact_type", name, "schema_revision", revision)
	c.retry(func(entry *ruleset) bool { return entry.wanted.FactType == name })
	return nil
}

// DeleteFactType forgets a fact type. Rulesets in force stay.
func (c *Catalog) DeleteFactType(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if known := c.types[name]; known != nil && !known.builtin {
		delete(c.types, name)
	}
}

// factType finds a type; mu is held.
func (c *Catalog) factType(name string) (*factType, error) {
	if known := c.types[name]; known != nil {
		return known, nil
	}
	return nil, fmt.Errorf("%w %q", ErrUnknownFactType, name)
}

// FactMessage is the message of a fact type.
func (c *Catalog) FactMessage(name string) (protoreflect.MessageDescriptor, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	known, err := c.factType(name)
	if err != nil {
		return nil, err
	}
	return known.schema.Descriptor(), nil
}
