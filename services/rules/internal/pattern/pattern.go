// Package pattern matches regular expressions: RE2's syntax and semantics, as
// Go's regexp has them, for the one question whether a text contains a match.
//
//   - pattern.go: Compile and Pattern
//   - parse.go: text to positions and what may follow each (Glushkov's automaton)
//   - plain.go: characters that stand for themselves
//   - literal.go: texts that every match begins with, ends with or contains
//   - class.go: sets of characters
//   - alphabet.go: characters to the positions that accept them
//   - build.go: positions to a Pattern
//   - closer.go: characters that end matches and nothing else
//   - match.go: runs
//   - standard.go: Go's regexp for everything else
//
// A ruleset has thousands of patterns, which are small, mostly do not match and
// must load in a microsecond. So a pattern of up to 64 positions becomes a set
// of bits: a run holds all positions that the text so far can have reached in
// one word and moves them at once (after Navarro and Raffinot, "Flexible Pattern
// Matching in Strings", 2002, and Hyperscan's LimEx). Anchors inside, word
// boundaries, Unicode classes and flags other than (?i) at the begin are left to
// Go's regexp, which also words the errors.
//
// Patterns are immutable and safe for concurrent use.
package pattern

import (
	"regexp"
	"strings"

	"github.com/backlot-video/backlot/services/rules/internal/arena"
)

// Limits of a pattern.
const (
	maxText         = 1000 // bytes
	maxInstructions = 2000
)

// manner is how a pattern is looked for.
type manner uint8

const (
	standard manner = iota // by Go's regexp
	always                 // every text contains the empty match
	affixes                // prefix and suffix decide
	contains               // literal decides
	search                 // from every character on
	forward                // from the text's begin
	backward               // from the text's end
	closing                // from each closer backwards
)

// Pattern is a compiled regular expression.
type Pattern struct {
	manner manner
	least  uint8  // bytes of the shortest match
	closer byte   // of closing
	skip   uint16 // bytes of prefix (backward: suffix) after which runs begin

	start  uint64 // positions reached at skip
	next   uint64 // positions that may come at skip
	accept uint64 // positions that end a match
	early  uint64 // accept, where a match may end anywhere; else none

	linear uint64   // positions that the one numbered next (backward, closing: before) may follow
	loops  uint64   // positions that they themselves may follow
	jumps  uint64   // positions that others may follow
	follow []uint64 // of jumps: those others, by position

	runes []interval // above ASCII
	other uint64     // positions that accept characters above ASCII in none of runes
	masks []uint64   // positions that accept a character, by its class
	class [128]uint8
	idle  [4]uint64 // of search: bits of ASCII that begins no match

	prefix  string // what every text that matches begins with
	suffix  string // what it ends with
	literal string
	heads   []string
	tails   []string
	pieces  []string
	near    []Near
	text    string
	regex   *regexp.Regexp
}

// Compiler compiles patterns that stay as long as each other, such as those of a
// ruleset: what they are made of comes from blocks. Its zero value is ready. It is
// for one goroutine at a time.
type Compiler struct {
	parser   parser
	patterns arena.Pool[Pattern]
	words    arena.Pool[uint64]
	texts    arena.Pool[string]
	chars    strings.Builder
	near     arena.Pool[Near]
}

// Compile compiles a regular expression of at most 1000 bytes. Its errors are
// worded for the author of a rule.
func (c *Compiler) Compile(text string) (*Pattern, error) {
	if p := c.compile(text); p != nil {
		return p, nil
	}
	return compileStandard(text)
}

// Compile compiles a pattern that stands alone.
func Compile(text string) (*Pattern, error) {
	var c Compiler
	return c.Compile(text)
}

// String returns the pattern's source.
func (p *Pattern) String() string { return p.text }

// Literal returns the longest text known to be in every match; it may be empty.
func (p *Pattern) Literal() string { return p.literal }
