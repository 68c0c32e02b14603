package tool

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/backlot-video/backlot/services/rules/internal/syntax"
)

// source is a ruleset to work on.
type source struct {
	path string // "-" for the standard input
	text string
}

// name is what messages call the source.
func (s *source) name() string {
	if s.path == "-" {
		return "<stdin>"
	}
	return s.path
}

// dir is the folder beside which fact types and lists are looked for.
func (s *source) dir() string {
	if s.path == "-" {
		return "."
	}
	return filepath.Dir(s.path)
}

var errNoSource = errors.New("no FILE is given; a folder, or - for the standard input, will do too")

// readSources reads files, the *.rules of folders and below, and - for in.
func readSources(args []string, in io.Reader) ([]source, error) {
	if len(args) == 0 {
		return nil, errNoSource
	}
	var all []source
	for _, arg := range args {
		paths, err := expand(arg)
		if err != nil {
			return nil, err
		}
		for _, path := range paths {
			text, err := readAll(path, in)
			if err != nil {
				return nil, err
			}
			all = append(all, source{path, string(text)})
		}
	}
	return all, nil
}

// expand lists the rulesets that an argument stands for.
func expand(arg string) ([]string, error) {
	if arg == "-" {
		return []string{arg}, nil
	}
	info, err := os.Stat(arg)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return []string{arg}, nil
	}
	var paths []string
	err = filepath.WalkDir(arg, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() && filepath.Ext(path) == ".rules" {
			paths = append(paths, path)
		}
		return err
	})
	if err == nil && len(paths) == 0 {
		err = fmt.Errorf("%s has no *.rules", arg)
	}
	return paths, err
}

// readAll reads a file or, for -, in. A little more than a source may have is
// enough for the parser to tell that it is too long.
func readAll(path string, in io.Reader) ([]byte, error) {
	if path == "-" {
		return io.ReadAll(io.LimitReader(in, syntax.MaxSource+1))
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	text, err := io.ReadAll(io.LimitReader(file, syntax.MaxSource+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return text, nil
}
