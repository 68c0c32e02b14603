package config

import (
	"flag"
	"fmt"
	"io"
	"strings"
)

// WriteHelp lists every setting with its default, grouped by the part
// before the first dot.
func (s *Set) WriteHelp(w io.Writer) error {
	group := ""
	for _, name := range s.ordered() {
		if g, _, dotted := strings.Cut(name, "."); dotted && g != group {
			group = g
			if _, err := fmt.Fprintf(w, "\n%s\n", g); err != nil {
				return err
			}
		}
		if err := s.writeSetting(w, name); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, "\nEach is also an environment variable (--data-dir is %s) and a key of the YAML file.\n",
		EnvironmentName("data-dir"))
	return err
}

// ordered puts plain names before dotted ones.
func (s *Set) ordered() []string {
	var plain, dotted []string
	for _, name := range s.names() {
		if strings.Contains(name, ".") {
			dotted = append(dotted, name)
		} else {
			plain = append(plain, name)
		}
	}
	return append(plain, dotted...)
}

func (s *Set) writeSetting(w io.Writer, name string) error {
	placeholder, usage := flag.UnquoteUsage(s.shared.flags.Lookup(name))
	if placeholder != "" {
		placeholder = " " + placeholder
	}
	initial := ""
	if d := s.shared.settings[name].initial; d != "" && d != "false" {
		initial = " (default " + d + ")"
	}
	_, err := fmt.Fprintf(w, "  --%s%s\n        %s%s\n", name, placeholder, usage, initial)
	return err
}
