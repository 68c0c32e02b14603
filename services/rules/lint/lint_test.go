package lint_test

import (
	"errors"
	"flag"
	"os"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/backlot-video/backlot/services/rules"
	"github.com/backlot-video/backlot/services/rules/fact"
	"github.com/backlot-video/backlot/services/rules/internal/facttest"
	"github.com/backlot-video/backlot/services/rules/lint"
	"github.com/backlot-video/backlot/services/rules/list"
)

var update = flag.Bool("update", false, "rewrite the expectations of testdata/findings.txt")

func orders(t *testing.T) *fact.Schema {
	t.Helper()
	schema, err := fact.New(facttest.Order(), fact.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// TestFindings checks the sources of a transcript: each is followed by what was
// found in it.
func TestFindings(t *testing.T) {
	const file = "testdata/findings.txt"
	transcript, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lists := &list.Registry{}
	empty, err := list.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	lists.Set("outside", empty)
	seen := map[string]bool{}
	var out strings.Builder
	for i, section := range strings.Split(string(transcript), "\n-- ") {
		if i == 0 {
			out.WriteString(section)
			continue
		}
		title, body, _ := strings.Cut(section, " --\n")
		source, _, _ := strings.Cut(body, "---\n")
		out.WriteString("\n-- " + title + " --\n" + source + "---\n")
		findings, err := lint.Check("r", source, orders(t), lists)
		if err != nil {
			t.Fatalf("%s: %v", title, err)
		}
		for _, f := range findings {
			seen[f.Name] = true
			out.WriteString(f.Rendered() + "\n")
		}
	}
	if *update {
		if err := os.WriteFile(file, []byte(out.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	} else if out.String() != string(transcript) {
		t.Errorf("got\n%s", out.String())
	}
	for _, c := range lint.Checks() {
		if !seen[c.Name] && c.Name != "deprecated" {
			t.Errorf("no example of %s", c.Name)
		}
	}
}

// deprecating is the schema of orders in which a field and a member of an enum
// are deprecated.
func deprecating(t *testing.T) *fact.Schema {
	t.Helper()
	file := protodesc.ToFileDescriptorProto(facttest.Order().ParentFile())
	for _, message := range file.GetMessageType() {
		for _, field := range message.GetField() {
			if field.GetName() == "attempts" {
				field.Options = &descriptorpb.FieldOptions{Deprecated: proto.Bool(true)}
			}
		}
	}
	file.GetEnumType()[0].GetValue()[1].Options = &descriptorpb.EnumValueOptions{Deprecated: proto.Bool(true)}
	built, err := protodesc.NewFile(file, protoregistry.GlobalFiles)
	if err != nil {
		t.Fatal(err)
	}
	schema, err := fact.New(built.Messages().ByName("OrderFact"), fact.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

func TestDeprecated(t *testing.T) {
	const source = `rule a when attempts > 3 then deny
rule b when channel == "WEB" then deny
rule c when channel in ["APP", "WEB"] and paid_orders > 1 then review score 1
`
	findings, err := lint.Check("r", source, deprecating(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range findings {
		got = append(got, f.Error())
	}
	want := []string{
		"r:1:13: warning: field 'attempts' is deprecated",
		"r:2:24: warning: 'CHANNEL_WEB' is deprecated",
		"r:3:13: warning: 'CHANNEL_WEB' is deprecated",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

func TestCheckOfABadSource(t *testing.T) {
	_, err := lint.Check("r", "rule a when crad == \"x\" then deny", orders(t), nil)
	var faults rules.Errors
	if !errors.As(err, &faults) || len(faults) != 1 {
		t.Errorf("got %v", err)
	}
}
