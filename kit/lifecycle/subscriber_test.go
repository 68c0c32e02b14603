package lifecycle

import (
	"fmt"
	"strings"
	"testing"
)

func TestLabelsOfInstances(t *testing.T) {
	many := make([]string, maxLabels+1)
	for n := range many {
		many[n] = fmt.Sprintf("l%d=x", n)
	}
	for text, want := range map[string]string{
		"":                             "map[]",
		"zone=eu, rack=7,x=":           "map[rack:7 x: zone:eu]",
		"zone":                         "error",
		"=eu":                          "error",
		"zone=eu,zone=us":              "error",
		"service=rules":                "error",
		strings.Repeat("a", 64) + "=b": "error",
		strings.Join(many, ","):        "error",
	} {
		labels, err := parseLabels(text)
		got := fmt.Sprint(labels)
		if err != nil {
			got = "error"
		}
		if got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}
