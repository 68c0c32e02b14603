package tool

import (
	"encoding/json"
	"io"
	"text/tabwriter"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// WriteJSON prints a value, or a message by its contract's names, as one
// indented document.
func WriteJSON(w io.Writer, value any) error {
	if message, ok := value.(proto.Message); ok {
		data, err := JSON(message)
		if err != nil {
			return err
		}
		value = data
	}
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(value)
}

// JSON is a message by its contract's names, fields without a value included.
func JSON(message proto.Message) (json.RawMessage, error) {
	return protojson.MarshalOptions{EmitUnpopulated: true}.Marshal(message)
}

// WriteTable prints rows, whose first is a header, in columns. Cells are of
// bytes that a terminal shows: a row is given apart by tabs.
func WriteTable(w io.Writer, rows [][]string) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		for i, cell := range row {
			if i > 0 {
				if _, err := io.WriteString(table, "\t"); err != nil {
					return err
				}
			}
			if _, err := io.WriteString(table, Printable(cell)); err != nil {
				return err
			}
		}
		if _, err := io.WriteString(table, "\n"); err != nil {
			return err
		}
	}
	return table.Flush()
}

// Printable replaces control characters, which could move a terminal's cursor
// or part a table's cells.
func Printable(text string) string {
	clean := []rune(text)
	for i, r := range clean {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			clean[i] = '\ufffd'
		}
	}
	return string(clean)
}

// Time is a time on the wire, microseconds of Unix time, for people; 0 is "-".
func Time(micros int64) string {
	if micros == 0 {
		return "-"
	}
	return time.UnixMicro(micros).UTC().Format("2006-01-02 15:04:05")
}
