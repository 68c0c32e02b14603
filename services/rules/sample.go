package rules

import (
	"slices"

	"github.com/backlot-video/backlot/services/rules/fact"
	"github.com/backlot-video/backlot/services/rules/internal/program"
)

// Sample is what recent facts had, from which compilers learn how often
// conditions hold. It is immutable and safe for concurrent use: programs may
// share it.
type Sample struct {
	schema *fact.Schema
	leaves []fact.Leaf
	had    *program.Sample
}

// NewSample takes facts as wire bytes, 1024 at most; those that do not fit the
// schema are passed over. The bytes must not change as long as the Sample is in
// use.
func NewSample(schema *fact.Schema, facts [][]byte) *Sample {
	return &Sample{schema, fact.NewLayout(schema).Leaves(), program.NewSample(schema, facts)}
}

// Schema is whose facts they are.
func (s *Sample) Schema() *fact.Schema { return s.schema }

// of is what facts of a schema had, nil where those of the sample have other
// fields.
func (s *Sample) of(schema *fact.Schema) *program.Sample {
	if s == nil || s.schema != schema && !slices.Equal(s.leaves, fact.NewLayout(schema).Leaves()) {
		return nil
	}
	return s.had
}
