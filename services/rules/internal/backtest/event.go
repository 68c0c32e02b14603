package backtest

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/backlot-video/backlot/services/rules/fact"
	"github.com/backlot-video/backlot/services/rules/internal/column"
)

// maxEventText bounds the text of an example, in bytes.
const maxEventText = 4096

// eventText is an event as its line has it, or what rules read of it.
func eventText(at *origin, plan *column.Scope, b *column.Batch, row int) string {
	text := string(at.text)
	if at.text == nil {
		var w strings.Builder
		writeScope(&w, plan, b, row)
		text = w.String()
	}
	if len(text) > maxEventText {
		text = strings.ToValidUTF8(text[:maxEventText], "") + "..."
	}
	return text
}

// writeScope writes the fields of a row that are present as a JSON object.
func writeScope(w *strings.Builder, scope *column.Scope, b *column.Batch, row int) {
	w.WriteByte('{')
	first := true
	for _, f := range scope.Fields {
		c := &b.Cols[f.Slot]
		if f.Counted || len(f.Path) == 0 || f.Type.Kind == fact.Message || !c.OK.Has(row) {
			continue
		}
		if !first {
			w.WriteString(", ")
		}
		first = false
		w.WriteString(strconv.Quote(strings.Join(f.Path, ".")) + ": ")
		writeValue(w, f, c, row)
	}
	w.WriteByte('}')
}

func writeValue(w *strings.Builder, f *column.Field, c *column.Column, row int) {
	switch f.Type.Kind {
	case fact.List:
		w.WriteByte('[')
		from, to := c.List.Of(row)
		for i := from; i < to; i++ {
			if i > from {
				w.WriteString(", ")
			}
			if len(f.Elem.Fields) == 1 && len(f.Elem.Fields[0].Path) == 0 {
				writeValue(w, f.Elem.Fields[0], &c.List.Elems.Cols[0], i)
			} else {
				writeScope(w, f.Elem, &c.List.Elems, i)
			}
		}
		w.WriteByte(']')
	case fact.String:
		writeQuoted(w, c.S.At(row))
	case fact.Money:
		w.WriteString(`{"minor": ` + strconv.FormatInt(c.N[row], 10) + `, "currency": `)
		writeQuoted(w, c.S.At(row))
		w.WriteByte('}')
	case fact.Bool:
		w.WriteString(strconv.FormatBool(c.N[row] != 0))
	case fact.Float:
		w.WriteString(strconv.FormatFloat(math.Float64frombits(uint64(c.N[row])), 'g', -1, 64))
	case fact.Time:
		writeQuoted(w, time.UnixMicro(c.N[row]).UTC().Format(time.RFC3339Nano))
	case fact.Duration:
		writeQuoted(w, (time.Duration(c.N[row]) * time.Microsecond).String())
	default:
		w.WriteString(strconv.FormatInt(c.N[row], 10))
	}
}

func writeQuoted(w *strings.Builder, s string) {
	quoted, _ := json.Marshal(s) // a string always has a JSON form
	w.Write(quoted)
}
