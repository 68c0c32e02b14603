package tcc

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
)

// MaxBranches bounds the branches of one transaction.
const MaxBranches = 64

// ErrSpec is wrapped by every fault that Spec.Validate finds.
var ErrSpec = errors.New("invalid transaction")

// Spec is what a transaction consists of. It never changes.
type Spec struct {
	Mode     Mode
	Branches []Branch // 1 to MaxBranches, with ids of their own
}

// Branch is one participant's share.
type Branch struct {
	ID          string
	Service     string // resolved at each call
	Action      string
	PayloadType string // type URL of the payload; empty when there is none
	Payload     []byte // opaque here
}

// Validate reports all faults at once, each wrapping ErrSpec.
func (s Spec) Validate() error {
	var faults []error
	fault := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf("%w: "+format, append([]any{ErrSpec}, args...)...))
	}
	if s.Mode != TCC && s.Mode != Saga {
		fault("mode: %v", s.Mode)
	}
	if len(s.Branches) == 0 || len(s.Branches) > MaxBranches {
		fault("branches: %d, want 1 to %d", len(s.Branches), MaxBranches)
	}
	seen := make(map[string]int, len(s.Branches))
	for i, branch := range s.Branches {
		if branch.ID == "" || branch.Service == "" || branch.Action == "" {
			fault("branches[%d]: needs branch_id, service and action", i)
		}
		if first, found := seen[branch.ID]; found {
			fault("branches[%d].branch_id: %q is also branches[%d]", i, branch.ID, first)
			continue
		}
		seen[branch.ID] = i
	}
	return errors.Join(faults...)
}

// Digest identifies the content: equal specs have equal digests.
func (s Spec) Digest() [sha256.Size]byte {
	buf := binary.BigEndian.AppendUint32(nil, uint32(s.Mode))
	for _, branch := range s.Branches {
		for _, field := range []string{branch.ID, branch.Service, branch.Action, branch.PayloadType} {
			buf = appendField(buf, []byte(field))
		}
		buf = appendField(buf, branch.Payload)
	}
	return sha256.Sum256(buf)
}

// appendField writes the length first, so that no two specs run together.
func appendField(buf, field []byte) []byte {
	return append(binary.BigEndian.AppendUint32(buf, uint32(len(field))), field...)
}
