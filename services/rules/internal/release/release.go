// Package release brings versions of rulesets into force, by configuration
// objects that all replicas follow.
//
//	release.go     errors, names of versions, their sources compressed
//	transition.go  what a step makes of a ruleset's object
//	store.go       objects read, and changed only as they were read
//	draft.go       new versions; old ones go
//	manage.go      Manager: what operators ask for
//	follow.go      Follower: objects to what the catalog compiles
//	control.go     Controller: steps that follow by themselves, rollbacks
//	notice.go      Teller: each step as a fact on the broker, once
//	webhook.go     facts to the outside, signed
//
// The objects are the only state: whoever changes them, an operator's call or
// a replica that saw a band left, all replicas see it and so does one that
// starts later. What a step has to tell is kept in the object's log until it
// was told.
package release

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	rulesv1 "github.com/backlot-video/backlot/proto/gen/backlot/rules/v1"
)

// Limits.
const (
	MaxSource  = 8 << 20 // bytes
	MaxPacked  = 500_000 // bytes of gzip; a configuration object holds 512 KiB
	maxHistory = 16      // versions that a rollback may return to
	maxLog     = 32      // transitions that are kept
	maxKept    = 48      // versions of a ruleset; unused older ones go
)

// What a release may be refused for.
var (
	ErrNoConfigstore  = errors.New("releases need a configstore; rulesets of a folder are in force at once")
	ErrUnknownRuleset = errors.New("unknown ruleset")
	ErrUnknownVersion = errors.New("unknown version")
	ErrInvalid        = errors.New("invalid release")
	ErrState          = errors.New("not possible now")
	ErrConflict       = errors.New("somebody else changed the ruleset; try again")
	ErrBadVersion     = errors.New("the version is not good any more")
)

// NameOf is the name of a version's object, without namespace. It depends on
// the content alone.
func NameOf(ruleset, factType, source string) string {
	sum := sha256.Sum256([]byte(factType + "\x00" + source))
	_, name := SplitName(ruleset)
	return name + "." + hex.EncodeToString(sum[:6])
}

// SplitName parts `namespace/name`; the namespace may be left out.
func SplitName(full string) (namespace, name string) {
	if namespace, name, found := strings.Cut(full, "/"); found {
		return namespace, name
	}
	return "default", full
}

// JoinName is the inverse of SplitName.
func JoinName(namespace, name string) string {
	if namespace == "" || namespace == "default" {
		return name
	}
	return namespace + "/" + name
}

// RulesetOf is the ruleset of a version's name.
func RulesetOf(version string) string {
	if dot := strings.LastIndexByte(version, '.'); dot > 0 {
		return version[:dot]
	}
	return version
}

// Pack compresses a source.
func Pack(source string) ([]byte, error) {
	if len(source) > MaxSource {
		return nil, fmt.Errorf("%w: source: %d bytes, at most %d", ErrInvalid, len(source), MaxSource)
	}
	var packed bytes.Buffer
	w, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err == nil {
		_, err = io.WriteString(w, source)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("compress source: %w", err)
	}
	if packed.Len() > MaxPacked {
		return nil, fmt.Errorf("%w: source: %d bytes compressed, at most %d; put long lists into list objects", ErrInvalid, packed.Len(), MaxPacked)
	}
	return packed.Bytes(), nil
}

// Unpack is the inverse of Pack.
func Unpack(packed []byte) (string, error) {
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return "", fmt.Errorf("%w: source_gzip: %w", ErrInvalid, err)
	}
	source, err := io.ReadAll(io.LimitReader(r, MaxSource+1))
	if err != nil {
		return "", fmt.Errorf("%w: source_gzip: %w", ErrInvalid, err)
	}
	if len(source) > MaxSource {
		return "", fmt.Errorf("%w: source_gzip: more than %d bytes", ErrInvalid, MaxSource)
	}
	return string(source), nil
}

// By says who does something, why and when.
type By struct {
	Author, Reason string
	Now            time.Time
}

// newVersion is the object of a source.
func newVersion(ruleset, factType, source string, by By) (name string, spec *rulesv1.RulesetVersion, err error) {
	packed, err := Pack(source)
	if err != nil {
		return "", nil, err
	}
	_, short := SplitName(ruleset)
	return NameOf(ruleset, factType, source), &rulesv1.RulesetVersion{
		Ruleset: short, FactType: factType, SourceGzip: packed, SourceBytes: uint32(len(source)),
		Author: by.Author, Reason: by.Reason, CreatedAt: by.Now.UnixMicro(),
	}, nil
}
