// Package tool is the command line of rules, for people who write them and
// for the pipelines that check what they wrote.
//
//	tool.go    Verb, Main, help
//	source.go  files, folders and standard input
//	facts.go   fact types and lists of a source
//	report.go  diagnostics as text, in colour, as JSON
//	check.go format.go test.go eval.go list.go listput.go rates.go  verbs
//	release.go rollout.go unreleased.go  releases of rulesets
//	remote.go  a running Backlot, as an operator
//
// Exit codes: 0, all is well; 1, the sources have faults; 2, the tool could
// not do its work: wrong arguments, files that cannot be read.
package tool

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/backlot-video/backlot/kit/config"
	"github.com/backlot-video/backlot/services/rules/internal/syntax"
)

// Exit codes.
const (
	exitOK     = 0
	exitFaults = 1
	exitUsage  = 2
)

// Verb is one thing that the tool does. Run gets the arguments after the name
// and returns the exit code.
type Verb struct {
	Name     string
	Args     string // as the help shows them: "FILE..."
	About    string // one line
	Examples []string
	Run      func(ctx context.Context, verb *Verb, args []string, std *Stdio) int
}

// verbs returns the verbs in the order in which the help lists them.
func verbs() []Verb {
	return []Verb{
		checkVerb,
		lintVerb,
		testVerb,
		formatVerb,
		evalVerb,
		backtestVerb,
		lspVerb,
		listVerb,
		ratesVerb,
		releaseVerb,
		promoteVerb,
		rollbackVerb,
		statusVerb,
	}
}

// Stdio is what a process gives to a verb.
type Stdio struct {
	In       io.Reader
	Out, Err io.Writer
	Environ  []string
	Program  string // as it was called: "backlot rules"
	Colour   bool   // Out is a terminal
}

// fail prints an error of a verb and returns the code for it.
func (std *Stdio) fail(verb *Verb, err error) int {
	_, _ = fmt.Fprintf(std.Err, "%s %s: %v\n", std.Program, verb.Name, err)
	return exitUsage
}

// Main runs the verb that args begin with.
func Main(ctx context.Context, args []string, std *Stdio) int {
	name := "help"
	if len(args) > 0 {
		name, args = args[0], args[1:]
	}
	if name == "help" && len(args) > 0 {
		name, args = args[0], []string{"--help"}
	}
	all := verbs()
	if i := slices.IndexFunc(all, func(v Verb) bool { return v.Name == name }); i >= 0 {
		return all[i].Run(ctx, &all[i], args, std)
	}
	if name == "help" {
		writeUsage(std.Out, std.Program, all)
		return exitOK
	}
	names := make([]string, len(all))
	for i, verb := range all {
		names[i] = verb.Name
	}
	_, _ = fmt.Fprintf(std.Err, "%s: verb %q is not known; %s\n\n", std.Program, name,
		cmp.Or(syntax.Suggest(name, names), "the verbs are:"))
	writeUsage(std.Err, std.Program, all)
	return exitUsage
}

func writeUsage(w io.Writer, program string, all []Verb) {
	var b strings.Builder
	fmt.Fprintf(&b, "%s VERB checks, tests, formats and tries rulesets; without a verb it runs the service.\n\n", program)
	for _, verb := range all {
		fmt.Fprintf(&b, "  %-9s %s\n", verb.Name, verb.About)
	}
	fmt.Fprintf(&b, "\n%s help VERB explains its flags and shows examples. A FILE may be a folder, whose\n"+
		"*.rules are taken, or - for the standard input.\n", program)
	_, _ = io.WriteString(w, b.String())
}

// parse reads the flags of a verb. With done the verb has nothing left to do
// and ends with code. BACKLOT_CONFIG names the file of a process, whose
// settings are not the tool's.
func (v *Verb) parse(set *config.Set, args []string, std *Stdio) (rest []string, code int, done bool) {
	environ := slices.DeleteFunc(slices.Clone(std.Environ), func(entry string) bool {
		return strings.HasPrefix(entry, config.EnvironmentName("config")+"=")
	})
	rest, err := set.Parse(args, environ)
	switch {
	case errors.Is(err, config.ErrHelp):
		v.writeHelp(set, std)
		return nil, exitOK, true
	case err != nil:
		return nil, std.fail(v, fmt.Errorf("%w; try --help", err)), true
	}
	return rest, exitOK, false
}

func (v *Verb) writeHelp(set *config.Set, std *Stdio) {
	var b strings.Builder
	fmt.Fprintf(&b, "usage: %s %s [flags] %s\n\n%s %s.\n\n", std.Program, v.Name, v.Args, v.Name, v.About)
	for i, example := range v.Examples {
		if i == 0 {
			b.WriteString("Examples:\n")
		}
		fmt.Fprintf(&b, "  %s %s\n", std.Program, example)
	}
	b.WriteString("\nFlags:\n")
	_ = set.WriteHelp(&b)
	b.WriteString("\nExit code: 0, all is well; 1, the sources have faults; 2, wrong arguments or unreadable files.\n")
	_, _ = io.WriteString(std.Out, b.String())
}

// repeated is a flag that may be given several times.
type repeated []string

// String implements flag.Value.
func (r *repeated) String() string { return strings.Join(*r, ",") }

// Set implements flag.Value. Commas part values, so that the environment can
// hold several.
func (r *repeated) Set(text string) error {
	*r = append(*r, strings.Split(text, ",")...)
	return nil
}
