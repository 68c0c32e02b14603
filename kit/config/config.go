// Package config binds fields to flags, environment variables and a YAML
// file, in this order of precedence, each with a documented default.
//
//	config.go  Set: declaring, and Parse
//	source.go  the environment and the YAML file
//	help.go    the help text
//	size.go    byte sizes such as 8MiB
//
// A field `settlement.listen` is flag --settlement.listen, environment
// variable BACKLOT_SETTLEMENT_LISTEN and YAML key settlement: {listen: ...};
// `-` in names becomes `_` in the latter two. It does not watch anything:
// what changes while running is a configuration object, not a flag.
package config

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"sort"
	"strings"
	"time"
)

// ErrHelp is returned by Parse when -h or --help was given.
var ErrHelp = flag.ErrHelp

// Set is a group of settings. The zero value is not usable: call New.
type Set struct {
	shared *shared
	prefix string
}

type shared struct {
	flags    *flag.FlagSet
	file     string
	settings map[string]*setting
}

type setting struct {
	name    string
	usage   string
	initial string
	secret  bool
}

// New returns an empty set for a program, with the setting `config` that
// names a YAML file.
func New(program string) *Set {
	flags := flag.NewFlagSet(program, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	s := &Set{shared: &shared{flags: flags, settings: map[string]*setting{}}}
	s.String(&s.shared.file, "config", "", "YAML `file` with settings")
	return s
}

// Sub returns the part of the set whose names start with `name.`.
func (s *Set) Sub(name string) *Set {
	return &Set{shared: s.shared, prefix: s.prefix + name + "."}
}

// Value declares a setting of any type that is a flag.Value. A word in
// back quotes in usage names the value in the help text.
func (s *Set) Value(value flag.Value, name, usage string) {
	full := s.prefix + name
	s.shared.flags.Var(value, full, usage)
	s.shared.settings[full] = &setting{name: full, usage: usage, initial: value.String()}
}

// String declares a text setting.
func (s *Set) String(p *string, name, initial, usage string) {
	full := s.prefix + name
	s.shared.flags.StringVar(p, full, initial, usage)
	s.declared(full, usage)
}

// Secret declares a text setting whose default is empty and whose value is
// never printed.
func (s *Set) Secret(p *string, name, usage string) {
	s.String(p, name, "", usage)
	s.shared.settings[s.prefix+name].secret = true
}

// Bool declares a yes/no setting.
func (s *Set) Bool(p *bool, name string, initial bool, usage string) {
	s.shared.flags.BoolVar(p, s.prefix+name, initial, usage)
	s.declared(s.prefix+name, usage)
}

// Int declares a whole number.
func (s *Set) Int(p *int, name string, initial int, usage string) {
	s.shared.flags.IntVar(p, s.prefix+name, initial, usage)
	s.declared(s.prefix+name, usage)
}

// Float declares a real number.
func (s *Set) Float(p *float64, name string, initial float64, usage string) {
	s.shared.flags.Float64Var(p, s.prefix+name, initial, usage)
	s.declared(s.prefix+name, usage)
}

// Duration declares a duration such as 1m30s.
func (s *Set) Duration(p *time.Duration, name string, initial time.Duration, usage string) {
	s.shared.flags.DurationVar(p, s.prefix+name, initial, usage)
	s.declared(s.prefix+name, usage)
}

// Size declares a number of bytes such as 8MiB or 500MB.
func (s *Set) Size(p *int64, name string, initial int64, usage string) {
	*p = initial
	s.Value((*size)(p), name, usage)
}

func (s *Set) declared(full, usage string) {
	initial := s.shared.flags.Lookup(full).DefValue
	s.shared.settings[full] = &setting{name: full, usage: usage, initial: initial}
}

// Parse fills the fields from args, then from the environment where args
// are silent, then from the YAML file. environ has the form of os.Environ.
// It returns the arguments that are no flags. All faults of the environment
// and the file are reported at once.
func (s *Set) Parse(args, environ []string) ([]string, error) {
	rest, err := s.parseFlags(args)
	if err != nil {
		return nil, err
	}
	set := map[string]bool{}
	s.shared.flags.Visit(func(f *flag.Flag) { set[f.Name] = true })

	faults := s.applyEnvironment(environ, set)
	if s.shared.file != "" {
		faults = append(faults, s.applyFile(s.shared.file, set)...)
	}
	return rest, errors.Join(faults...)
}

// parseFlags accepts flags after other arguments too.
func (s *Set) parseFlags(args []string) ([]string, error) {
	var rest []string
	for {
		if err := s.shared.flags.Parse(args); err != nil {
			if errors.Is(err, flag.ErrHelp) {
				return nil, ErrHelp
			}
			return nil, s.explain(err)
		}
		args = s.shared.flags.Args()
		if len(args) == 0 {
			return rest, nil
		}
		rest, args = append(rest, args[0]), args[1:]
	}
}

// explain adds the nearest known name to an unknown flag's error.
func (s *Set) explain(err error) error {
	name, unknown := strings.CutPrefix(err.Error(), "flag provided but not defined: -")
	if !unknown {
		return err
	}
	return s.unknown("flag --", strings.TrimPrefix(name, "-"))
}

func (s *Set) unknown(what, name string) error {
	best, distance := "", 1+len(name)/3
	for _, known := range s.names() {
		if d := editDistance(known, name); d <= distance {
			best, distance = known, d
		}
	}
	if best == "" {
		return fmt.Errorf("%s%s is not known", what, name)
	}
	return fmt.Errorf("%s%s is not known; did you mean %s?", what, name, best)
}

func (s *Set) names() []string {
	names := make([]string, 0, len(s.shared.settings))
	for name := range s.shared.settings {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

// editDistance is Levenshtein's.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := diagonal
			if a[i-1] != b[j-1] {
				cost++
			}
			diagonal = row[j]
			row[j] = min(cost, row[j]+1, row[j-1]+1)
		}
	}
	return row[len(b)]
}
