package tool

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/backlot-video/backlot/services/rules"
)

// diagnostic is one thing to tell about a source.
type diagnostic struct {
	File     string `json:"file"`
	Severity string `json:"severity"` // error, warning or info
	Name     string `json:"name,omitempty"`
	Line     int    `json:"line"`
	Column   int    `json:"column"`
	Message  string `json:"message"`
	Help     string `json:"help,omitempty"`

	rendered string
}

// compileFaults turns the error of Compile or Format into diagnostics.
func compileFaults(err error) []diagnostic {
	var faults rules.Errors
	if !errors.As(err, &faults) {
		return []diagnostic{{Severity: "error", Message: err.Error(), rendered: "error: " + err.Error()}}
	}
	all := make([]diagnostic, len(faults))
	for i, e := range faults {
		all[i] = diagnostic{
			File: e.File, Severity: "error", Line: e.Line, Column: e.Column, Message: e.Message, Help: e.Help,
			rendered: e.Rendered(),
		}
	}
	return all
}

// The colours of a terminal.
const (
	red    = "\x1b[1;31m"
	yellow = "\x1b[1;33m"
	blue   = "\x1b[1;34m"
	green  = "\x1b[1;32m"
	bold   = "\x1b[1m"
	plain  = "\x1b[0m"
)

// paint colours text, where there are colours.
func (std *Stdio) paint(colour, text string) string {
	if !std.Colour {
		return text
	}
	return colour + text + plain
}

// print shows a diagnostic with its line and mark.
func (std *Stdio) print(w io.Writer, d diagnostic) {
	text := d.rendered
	if std.Colour {
		text = coloured(text, d.Severity)
	}
	_, _ = fmt.Fprintln(w, text)
}

// coloured paints the severity and the mark below the line.
func coloured(text, severity string) string {
	colour := map[string]string{"error": red, "warning": yellow, "info": blue}[severity]
	lines := strings.Split(text, "\n")
	if before, after, ok := strings.Cut(lines[0], severity+":"); ok {
		lines[0] = bold + before + colour + severity + ":" + plain + bold + after + plain
	}
	if len(lines) > 2 {
		if gutter, mark, ok := strings.Cut(lines[2], "^"); ok {
			lines[2] = gutter + colour + "^" + mark + plain
		}
	}
	return strings.Join(lines, "\n")
}

// writeJSON prints a value as one indented document.
func writeJSON(w io.Writer, value any) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(value)
}

// plural is "1 rule", "2 rules".
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
