package measure

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strings"
)

// Bench is a comparison that can be run by its name, group/name.
type Bench struct {
	Name string
	Run  func(*Report) error
}

// Report prints lines of JSON.
type Report struct{ Out io.Writer }

// Line is one figure beside that of the best peer.
type Line struct {
	Bench     string
	Unit      string
	Ours      float64
	Peer      string // with its version
	PeerValue float64
	Higher    bool    // whether higher is better
	Extra     []Extra // what else is worth knowing, in order
}

// Extra is a further figure of a line.
type Extra struct {
	Name  string
	Value any
}

// Print writes a line. Its ratio is above 1 where ours is better.
func (r *Report) Print(l Line) error {
	better, ratio := "lower", l.PeerValue/l.Ours
	if l.Higher {
		better, ratio = "higher", l.Ours/l.PeerValue
	}
	fields := append([]Extra{
		{"bench", l.Bench},
		{"unit", l.Unit},
		{"ours", l.Ours},
		{"peer", l.Peer},
		{"peer_value", l.PeerValue},
		{"ratio", ratio},
		{"better", better},
	}, l.Extra...)
	parts := make([]string, len(fields))
	for i, field := range fields {
		encoded, err := json.Marshal(rounded(field.Value))
		if err != nil {
			return fmt.Errorf("field %s of %s: %w", field.Name, l.Bench, err)
		}
		parts[i] = fmt.Sprintf("%q:%s", field.Name, encoded)
	}
	_, err := fmt.Fprintf(r.Out, "{%s}\n", strings.Join(parts, ","))
	return err
}

// rounded rounds what is a float64, or a map of such.
func rounded(value any) any {
	switch value := value.(type) {
	case float64:
		return round(value)
	case map[string]float64:
		all := map[string]any{}
		for name, number := range value {
			all[name] = round(number)
		}
		return all
	}
	return value
}

// round keeps three digits.
func round(x float64) any {
	if math.IsInf(x, 0) || math.IsNaN(x) {
		return nil
	}
	if x == 0 || math.Abs(x) >= 1000 {
		return math.Round(x)
	}
	scale := math.Pow(10, 2-math.Floor(math.Log10(math.Abs(x))))
	return math.Round(x*scale) / scale
}

// Best returns the quickest of the peers, which are all but the first.
func Best(results []Result) Result {
	best := results[1]
	for _, r := range results[2:] {
		if r.PerOp < best.PerOp {
			best = r
		}
	}
	return best
}

// All lists the figures of the peers in a unit of so many nanoseconds.
func All(results []Result, unit float64) Extra {
	figures := map[string]float64{}
	for _, r := range results[1:] {
		figures[r.Name] = r.PerOp / unit
	}
	return Extra{"peers", figures}
}
