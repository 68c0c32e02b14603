package object

import (
	"errors"
	"fmt"
	"strings"
)

// What a Fault is of.
var (
	// ErrInvalid: the object is wrong in itself.
	ErrInvalid = errors.New("invalid object")
	// ErrUnknownKind: no such kind is registered.
	ErrUnknownKind = errors.New("unknown kind")
	// ErrTooLarge: a limit of this package.
	ErrTooLarge = errors.New("too large")
	// ErrReference: the object refers to one that does not exist, or is
	// referred to and cannot go.
	ErrReference = errors.New("dangling reference")
	// ErrConflict: the object is not at the expected revision.
	ErrConflict = errors.New("stale revision")
	// ErrExists: the object was expected not to exist.
	ErrExists = errors.New("object exists")
	// ErrReserved: the kind is not written by releases.
	ErrReserved = errors.New("kind is reserved")
	// ErrIncompatible: a kind's new descriptors would break stored objects.
	ErrIncompatible = errors.New("incompatible kind")
)

// Fault is one thing wrong with a request.
type Fault struct {
	// Path of the field, as in `changes[2].put.spec.path`.
	Path string
	// Message is for people, without the path.
	Message string
	// Rule is the id of the broken rule, as in `string.min_len`; empty for
	// what is not a rule of the schema.
	Rule string
	// Of is one of the errors above.
	Of error
}

// Error implements error.
func (f *Fault) Error() string { return f.Path + ": " + f.Message }

// Unwrap returns what the fault is of.
func (f *Fault) Unwrap() error { return f.Of }

func faultf(of error, path, format string, args ...any) *Fault {
	return &Fault{Path: path, Of: of, Message: fmt.Sprintf(format, args...)}
}

// Faultf returns a fault.
func Faultf(of error, path, format string, args ...any) *Fault {
	return faultf(of, path, format, args...)
}

// Faults are all that is wrong, never empty as an error.
type Faults []*Fault

// Error implements error.
func (f Faults) Error() string {
	texts := make([]string, len(f))
	for n, fault := range f {
		texts[n] = fault.Error()
	}
	return strings.Join(texts, "; ")
}

// Unwrap lets errors.Is find what any of the faults is of.
func (f Faults) Unwrap() []error {
	all := make([]error, len(f))
	for n, fault := range f {
		all[n] = fault
	}
	return all
}

// Err is nil where nothing is wrong.
func (f Faults) Err() error {
	if len(f) == 0 {
		return nil
	}
	return f
}

// under puts the paths below a field.
func (f Faults) under(path string) Faults {
	for _, fault := range f {
		switch {
		case fault.Path == "":
			fault.Path = path
		case strings.HasPrefix(fault.Path, "["):
			fault.Path = path + fault.Path
		default:
			fault.Path = path + "." + fault.Path
		}
	}
	return f
}
