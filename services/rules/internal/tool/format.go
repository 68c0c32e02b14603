package tool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/backlot-video/backlot/kit/config"
	"github.com/backlot-video/backlot/kit/file"
	"github.com/backlot-video/backlot/services/rules"
)

var formatVerb = Verb{
	Name: "fmt", Args: "FILE...", About: "prints rulesets in canonical form",
	Examples: []string{"fmt risk.rules", "fmt -w rules/", "fmt -d rules/", "fmt --check rules/", "fmt --language zh - < risk.rules"},
	Run:      runFormat,
}

type formatFlags struct {
	write, diff, check bool
	language           string
}

func (c *formatFlags) register(set *config.Set) {
	set.Bool(&c.write, "write", false, "write the files instead of printing them")
	set.Bool(&c.write, "w", false, "the same as --write")
	set.Bool(&c.diff, "diff", false, "print what would change; the exit code is 1 if anything would")
	set.Bool(&c.diff, "d", false, "the same as --diff")
	set.Bool(&c.check, "check", false, "print the names of files that would change; the exit code is 1 if there are any")
	set.String(&c.language, "language", "", "of keywords, `en or zh`; empty: that of most keywords of the source")
}

var languages = map[string]rules.Language{"en": rules.English, "zh": rules.Chinese}

func (c *formatFlags) languageOf(s *source) rules.Language {
	if language, given := languages[c.language]; given {
		return language
	}
	return rules.LanguageOf(s.text)
}

func runFormat(_ context.Context, verb *Verb, args []string, std *Stdio) int {
	set := config.New(verb.Name)
	var c formatFlags
	c.register(set)
	rest, code, done := verb.parse(set, args, std)
	if done {
		return code
	}
	if _, known := languages[c.language]; !known && c.language != "" {
		return std.fail(verb, fmt.Errorf("--language: want en or zh, found %q", c.language))
	}
	sources, err := readSources(rest, std.In)
	if err != nil {
		return std.fail(verb, err)
	}
	for i := range sources {
		s := &sources[i]
		formatted, err := rules.Format(s.name(), s.text, c.languageOf(s))
		if err != nil {
			for _, d := range compileFaults(err) {
				std.print(std.Err, d)
			}
			code = exitFaults
			continue
		}
		changed, err := c.emit(s, formatted, std)
		if err != nil {
			return std.fail(verb, err)
		}
		if changed && (c.check || c.diff) {
			code = exitFaults
		}
	}
	return code
}

var errWriteStdin = errors.New("the standard input cannot be written")

// emit does with a formatted source what the flags ask for.
func (c *formatFlags) emit(s *source, formatted string, std *Stdio) (changed bool, err error) {
	changed = formatted != s.text
	switch {
	case c.write && s.path == "-":
		return false, errWriteStdin
	case !c.write && !c.check && !c.diff:
		_, err := io.WriteString(std.Out, formatted)
		return changed, err
	case !changed:
		return false, nil
	}
	if c.check {
		_, err = fmt.Fprintln(std.Out, s.name())
	}
	if c.diff && err == nil {
		_, err = io.WriteString(std.Out, std.paintDiff(unified(s.name(), s.text, formatted)))
	}
	if c.write && err == nil {
		err = replace(s.path, formatted)
	}
	return changed, err
}

// replace gives a file new content, whole or not at all, and keeps its mode.
func replace(path, content string) error {
	target, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	info, err := os.Stat(target)
	if err != nil {
		return err
	}
	if err := file.Replace(target, []byte(content)); err != nil {
		return err
	}
	return os.Chmod(target, info.Mode().Perm())
}
