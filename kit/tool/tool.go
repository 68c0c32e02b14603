// Package tool is what the command lines of services have in common.
//
//	tool.go    Verb, Main and their help
//	remote.go  Remote: a running Backlot, as an operator
//	show.go    JSON and tables
//
// A tool is a table of verbs; it knows no service. Exit codes: 0, all is well;
// 1, what was looked at has faults; 2, the tool could not do its work.
package tool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/backlot-video/backlot/kit/config"
)

// Exit codes.
const (
	ExitOK     = 0
	ExitFaults = 1
	ExitUsage  = 2
)

// ErrFaults is for a Run to return when what was looked at has faults, which it
// has told already: the tool ends with ExitFaults.
var ErrFaults = errors.New("there are faults")

// Verb is one thing that a tool does.
type Verb struct {
	Name     string
	Args     string // as the help shows them: "FILE..."
	About    string // one line, without a full stop
	More     string // further lines of the help; may be empty
	Examples []string
	// New declares the verb's flags and returns what runs once they are parsed,
	// with the arguments that are no flags.
	New func(set *config.Set, std *Stdio) func(ctx context.Context, args []string) error
	// Raw runs a verb whose flags are not ours, in place of New: it is given all
	// arguments as they are, --help among them.
	Raw func(args []string, std *Stdio) error
}

// Stdio is what a process gives to a tool.
type Stdio struct {
	In       io.Reader
	Out, Err io.Writer
	Environ  []string
	Program  string // as it was called: "backlot settlement"
	About    string // what the tool is for, and what it does without a verb: one line without a full stop
}

// Process runs a tool in this process, if args begin with a verb, until it ends
// or is interrupted. What begins with a flag is for the service of the same
// name.
func Process(program, about string, args []string, verbs []Verb) (code int, ran bool) {
	if len(args) == 0 || strings.HasPrefix(args[0], "-") || args[0] == "version" {
		return 0, false
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return Main(ctx, args, verbs, &Stdio{
		In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Environ: os.Environ(), Program: program, About: about,
	}), true
}

// Main runs the verb that args begin with.
func Main(ctx context.Context, args []string, verbs []Verb, std *Stdio) int {
	name := "help"
	if len(args) > 0 {
		name, args = args[0], args[1:]
	}
	if name == "help" && len(args) > 0 {
		name, args = args[0], []string{"--help"}
	}
	if i := slices.IndexFunc(verbs, func(v Verb) bool { return v.Name == name }); i >= 0 {
		return verbs[i].run(ctx, args, std)
	}
	if name == "help" {
		writeUsage(std.Out, verbs, std)
		return ExitOK
	}
	_, _ = fmt.Fprintf(std.Err, "%s: verb %q is not known\n\n", std.Program, name)
	writeUsage(std.Err, verbs, std)
	return ExitUsage
}

// run runs the verb.
func (v *Verb) run(ctx context.Context, args []string, std *Stdio) int {
	err := v.do(ctx, args, std)
	switch {
	case err == nil:
		return ExitOK
	case errors.Is(err, ErrFaults):
		return ExitFaults
	}
	_, _ = fmt.Fprintf(std.Err, "%s %s: %v\n", std.Program, v.Name, Plain(err))
	return ExitUsage
}

// do parses flags and runs the verb. BACKLOT_CONFIG names the file of a
// process, whose settings are not the tool's.
func (v *Verb) do(ctx context.Context, args []string, std *Stdio) error {
	if v.Raw != nil {
		return v.Raw(args, std)
	}
	set := config.New(v.Name)
	do := v.New(set, std)
	environ := slices.DeleteFunc(slices.Clone(std.Environ), func(entry string) bool {
		return strings.HasPrefix(entry, config.EnvironmentName("config")+"=")
	})
	rest, err := set.Parse(args, environ)
	switch {
	case errors.Is(err, config.ErrHelp):
		v.writeHelp(set, std)
		return nil
	case err != nil:
		return fmt.Errorf("%w; try --help", err)
	}
	return do(ctx, rest)
}

func writeUsage(w io.Writer, verbs []Verb, std *Stdio) {
	width := 0
	for _, verb := range verbs {
		width = max(width, len(verb.Name))
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s VERB %s.\n\n", std.Program, std.About)
	for _, verb := range verbs {
		fmt.Fprintf(&b, "  %-*s  %s\n", width, verb.Name, verb.About)
	}
	fmt.Fprintf(&b, "\n%s help VERB explains its flags and shows examples.\n", std.Program)
	_, _ = io.WriteString(w, b.String())
}

func (v *Verb) writeHelp(set *config.Set, std *Stdio) {
	var b strings.Builder
	fmt.Fprintf(&b, "usage: %s %s [flags] %s\n\n%s %s.\n", std.Program, v.Name, v.Args, v.Name, v.About)
	if v.More != "" {
		fmt.Fprintf(&b, "\n%s\n", strings.TrimSpace(v.More))
	}
	for i, example := range v.Examples {
		if i == 0 {
			b.WriteString("\nExamples:\n")
		}
		fmt.Fprintf(&b, "  %s %s\n", std.Program, example)
	}
	b.WriteString("\nFlags:\n")
	_ = set.WriteHelp(&b)
	b.WriteString("\nExit code: 0, all is well; 1, there are faults; 2, wrong arguments, or it could not be done.\n")
	_, _ = io.WriteString(std.Out, b.String())
}
